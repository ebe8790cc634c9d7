"""Candidates of a second source: what many people look at now."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from recstack_triton_templates.stages.filter_seen_items import Seen
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.trending_keys import TrendingKeys

RETRIEVAL, TRENDING = 1, 2
"""Sources of a candidate, added up."""
SOURCES = {RETRIEVAL: "retrieval", TRENDING: "trending", RETRIEVAL | TRENDING: "both"}


class TrendingStore(Protocol):
    """Where the lists are."""

    @property
    def keys(self) -> TrendingKeys:
        """Names of the stack's lists."""
        ...

    def lists(self, names: Sequence[str], count: int) -> list[Array]:
        """At most ``count`` item ids int64 [n] of each list, heaviest first; [0] of one that is not there.

        Raises:
            TrendingUnavailable: the store does not answer.
        """
        ...


class TrendingUnavailable(Exception):
    """The store of trending lists does not answer; recommendations go on without."""


def rows_of(found: Array, ids: Array) -> Array:
    """Rows of the catalog, whose ``ids`` [I] rise, of item ids [n], in their order; unknown ones left out."""
    if len(ids) == 0:
        return np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
    rows: Array = place[ids[place] == found]
    return rows


def interleave(lists: Sequence[Array]) -> Array:
    """All rows [n] of several lists, each once: the first of each list, then the seconds."""
    rows = np.concatenate(list(lists)) if lists else np.zeros(0, np.int64)
    ranks = np.concatenate([np.arange(len(one)) for one in lists]) if lists else rows
    taken = rows[np.argsort(ranks, kind="stable")]
    first = np.unique(taken, return_index=True)[1]
    once: Array = taken[np.sort(first)]
    return once


def mix(
    retrieved: Array, trending: Array, ids: Array, *, seen: Seen | None, wanted: int, count: int
) -> tuple[Array, Array]:
    """Candidates with trending ones among them, and their sources, uint8 [n] each.

    Retrieved rows come first, in their order, then those of trending alone. A trending row that was
    retrieved, too, is of both; any other takes the place of the last of retrieval alone.

    Args:
        retrieved: rows that were not seen, best first, ``count`` at most.
        trending: rows, heaviest first, each once.
        ids: item id of every row of the catalog, [I].
        seen: what the user saw; None: nothing.
        wanted: trending rows to take, as far as there are any that were not seen.
        count: candidates in all.
    """
    if seen is not None and len(trending):
        trending = trending[~seen(ids[trending])]
    taken = trending[: min(wanted, count)]
    if len(taken) == 0:  # as without trending: most requests need no comparison
        rows = retrieved[:count]
        return rows, np.full(len(rows), RETRIEVAL, np.uint8)
    also = np.isin(retrieved, taken)
    # What only retrieval has keeps the places that are left.
    kept = also | (np.cumsum(~also) <= count - len(taken))
    only = taken[~np.isin(taken, retrieved)]
    sources = np.where(also[kept], RETRIEVAL | TRENDING, RETRIEVAL)
    rows = np.concatenate([retrieved[kept], only])
    return rows, np.concatenate([sources, np.full(len(only), TRENDING)]).astype(np.uint8)
