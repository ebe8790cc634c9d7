"""Reads trending lists from Valkey, inside Triton's model process."""

from collections.abc import Callable, Sequence

import numpy as np

from recstack_triton_templates.online import ValkeyPipeline
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.stages.trending import TrendingUnavailable
from recstack_triton_templates.trending_keys import TrendingKeys

FRESH = 1.0
"""Seconds that a list is kept here: it is the same for all who ask, and one read a second does for them."""
KEPT = 1024
"""Most lists that are kept."""


class ValkeyTrending:
    """Lists that are not here, in one round trip for all. ``clock``: seconds since 1970, UTC."""

    def __init__(self, pipeline: ValkeyPipeline, keys: TrendingKeys, clock: Callable[[], float]) -> None:
        self._pipeline, self.keys, self._clock = pipeline, keys, clock
        self._lists: dict[tuple[str, int], tuple[float, Array]] = {}

    def lists(self, names: Sequence[str], count: int) -> list[Array]:
        """As ``TrendingStore`` has it."""
        now = self._clock()
        stale = [n for n in dict.fromkeys(names) if self._lists.get((n, count), (0.0,))[0] <= now - FRESH]
        if stale:
            if len(self._lists) + len(stale) > KEPT:
                self._lists = {key: one for key, one in self._lists.items() if one[0] > now - FRESH}
            for name, ids in zip(stale, self._read(stale, count), strict=True):
                self._lists[name, count] = (now, ids)
        return [self._lists[name, count][1] for name in names]

    def _read(self, names: Sequence[str], count: int) -> list[Array]:
        replies = self._pipeline.run([("ZREVRANGE", name, 0, count - 1) for name in names])
        for reply in replies:
            if isinstance(reply, Exception):
                raise TrendingUnavailable(f"Valkey: {reply}") from reply
        return [np.array([int(one) for one in reply], np.int64) for reply in replies]
