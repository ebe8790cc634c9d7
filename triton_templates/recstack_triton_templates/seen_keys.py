"""Where in Valkey it is kept what a user saw: names, shapes, life times, for who writes and who reads.

Time is cut into slices of half the TTL; a user has one filter a slice, and the last three are read. So an
item counts as seen for the TTL at least and half as long again at most, and no filter fills up for ever. A
slice's name follows from the event's own time: marking the same event again changes nothing.

A filter is native, one of the server's Bloom module, where there is one, else a bitmap. The two have names
apart and are both read, so a server may get or lose the module (docs/adr/0014).
"""

from dataclasses import dataclass

from recstack_triton_templates.stages.filter_seen_items import Bloom

SLICES = 3
"""How many slices are read."""


@dataclass(frozen=True)
class SeenKeys:
    """Names of a stack's filters.

    ``scope``: the stack, as ``namespace/name``. The shape is part of the names, as bitmaps of two shapes
    cannot be read by one another's hashes.
    """

    scope: str
    capacity: int
    error_rate: float
    ttl_seconds: int

    @property
    def bloom(self) -> Bloom:
        """Shape of one slice; the declared error rate is that of all slices together."""
        return Bloom(self.capacity, self.error_rate / SLICES)

    @property
    def slice_seconds(self) -> int:
        """Length of a slice."""
        return max(1, self.ttl_seconds // (SLICES - 1))

    def slice_of(self, seconds: float) -> int:
        """Slice that a time, seconds since 1970, falls into."""
        return int(seconds) // self.slice_seconds

    def expiry(self, part: int) -> int:
        """When a slice is not read any more, seconds since 1970."""
        return (part + SLICES) * self.slice_seconds

    def bitmap(self, user_id: int, part: int) -> str:
        """Key of a slice that is a bitmap."""
        return f"recstack:seen:{self._slice(user_id, part)}"

    def native(self, user_id: int, part: int) -> str:
        """Key of a slice that is a filter of Valkey's Bloom module."""
        return f"recstack:seen-bf:{self._slice(user_id, part)}"

    def bitmaps(self, user_id: int, now: float) -> list[str]:
        """Keys of the bitmaps that hold what counts as seen at ``now``."""
        return [self.bitmap(user_id, part) for part in self._readable(now)]

    def natives(self, user_id: int, now: float) -> list[str]:
        """Keys of the module's filters that hold what counts as seen at ``now``."""
        return [self.native(user_id, part) for part in self._readable(now)]

    def _readable(self, now: float) -> range:
        last = self.slice_of(now)
        return range(last, last - SLICES, -1)

    def _slice(self, user_id: int, part: int) -> str:
        """The braces keep a user's on one node of a cluster."""
        return f"{{{self.scope}/{user_id}}}:{self.capacity}-{self.error_rate:g}-{self.ttl_seconds}:{part}"
