"""Where in Valkey it is kept what a user saw: names, shapes, life times, for who writes and who reads.

Time is cut into slices of half the TTL; a user has one filter a slice, and the last three are read. So an
item counts as seen for the TTL at least and half as long again at most, and no filter fills up for ever. A
slice's name follows from the event's own time: marking the same event again changes nothing.
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

    def key(self, user_id: int, part: int) -> str:
        """Key of a slice; the braces keep a user's on one node of a cluster."""
        shape = f"{self.capacity}-{self.error_rate:g}-{self.ttl_seconds}"
        return f"recstack:seen:{{{self.scope}/{user_id}}}:{shape}:{part}"

    def readable(self, user_id: int, now: float) -> list[str]:
        """Keys that hold what counts as seen at ``now``."""
        last = self.slice_of(now)
        return [self.key(user_id, last - back) for back in range(SLICES)]
