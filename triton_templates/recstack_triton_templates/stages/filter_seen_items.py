"""Items that a user has seen lately leave the candidates.

Membership is a Bloom filter's (Bloom 1970, doi:10.1145/362686.362692), with two hashes combined into k
(Kirsch & Mitzenmacher 2006, doi:10.1007/11841036_42): a user's bitmap answers for all candidates at once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recstack_triton_templates.stages.transforms import Array

Seen = Callable[[Array], Array]
"""Ids [N] to bool [N]: seen."""


@dataclass(frozen=True)
class Bloom:
    """Shape of a filter: ``error_rate`` is its share of false positives when it holds ``capacity`` items."""

    capacity: int
    error_rate: float

    @cached_property
    def bits(self) -> int:
        """Bits of the bitmap, a multiple of 8."""
        exact = -self.capacity * math.log(self.rate) / math.log(2) ** 2
        return math.ceil(exact / 8) * 8

    @cached_property
    def hashes(self) -> int:
        """Bits an item sets."""
        return max(1, round(self.bits / self.capacity * math.log(2)))

    @property
    def rate(self) -> float:
        """``error_rate``, within what makes a filter."""
        return min(max(self.error_rate, 1e-9), 0.5)

    def positions(self, ids: Array, hashes: int | None = None) -> Array:
        """Bit positions int64 [N, hashes] of ids [N]; the first ``hashes`` of them, or all."""
        keys = ids.astype(np.int64).view(np.uint64)
        first, step = _mix(keys), _mix(keys ^ np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)
        with np.errstate(over="ignore"):
            spread = first[:, None] + np.arange(hashes or self.hashes, dtype=np.uint64) * step[:, None]
        return (spread % np.uint64(self.bits)).astype(np.int64)

    def member(self, bitmaps: Sequence[bytes]) -> Seen:
        """Test of ids against any of the bitmaps; bit 0 is the first byte's highest, as SETBIT has it."""
        unpacked = np.zeros((len(bitmaps), self.bits), dtype=bool)
        for row, bitmap in enumerate(bitmaps):
            bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), count=min(self.bits, len(bitmap) * 8))
            unpacked[row, : len(bits)] = bits

        def seen(ids: Array) -> Array:
            inside = np.zeros(len(ids), dtype=bool)
            first = self.positions(ids, 1)[:, 0]
            for bits in unpacked:
                # Most ids were not seen, and most of those fail at their first bit.
                left = np.flatnonzero(bits[first])
                inside[left] |= bits[self.positions(ids[left])].all(axis=1)
            return inside

        return seen


def _mix(keys: Array) -> Array:
    """Finalizer of splitmix64 (Steele et al. 2014, doi:10.1145/2714064.2660195), [N] uint64."""
    with np.errstate(over="ignore"):
        mixed = keys + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def first_fetch(count: int, filtered: bool) -> int:
    """Rows to retrieve at first for ``count`` candidates: more when some may have been seen."""
    return 2 * count if filtered else count


def unseen(
    rows: Array, wanted: int, retrieve: Callable[[int], Array], ids: Array, *, count: int, seen: Seen
) -> Array:
    """Best ``count`` rows that the user has not seen; fewer only when the catalog has no more.

    Args:
        rows: retrieved at first, [n], best first; fewer than ``wanted`` when there are no more.
        wanted: how many were asked for.
        retrieve: the same for another number wanted.
        ids: item id of every row of the catalog, [I].
        count: rows to give.
        seen: what the user saw.
    """
    while True:
        left = rows[~seen(ids[rows])]
        if len(left) >= count or len(rows) < wanted:
            return left[:count]
        wanted *= 2
        rows = retrieve(wanted)
