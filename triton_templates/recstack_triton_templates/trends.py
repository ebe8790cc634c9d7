"""Which trending rows a request may get: its lists, how many of them, and what they hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.stages.transforms import Array, null_mask
from recstack_triton_templates.stages.trending import (
    TrendingStore,
    TrendingUnavailable,
    interleave,
    rows_of,
)

NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Trend:
    """Rows of the catalog, heaviest first; ``wanted`` are taken. ``down``: they could not be read."""

    rows: Array
    wanted: int = 0
    down: bool = False


NO_TREND = Trend(NOTHING)


class Trends:
    """Trending of a stack for one version. ``ids`` [I]: the catalog's, rising."""

    def __init__(self, store: TrendingStore, settings: ServingSettings, ids: Array) -> None:
        self._store, self._keys, self._settings, self._ids = store, store.keys, settings, ids
        most = max(settings.trending_candidates, settings.trending_cold_candidates)
        # As with retrieval: some may have been seen, or be no items of this version.
        self._read = 2 * most

    def of(self, users: Sequence[Mapping[str, Array]], plain: Sequence[bool]) -> list[Trend]:
        """For each request, by its user's raw columns (none: unknown); all lists are read at once."""
        wanted = [0 if is_plain else self._wanted(user) for user, is_plain in zip(users, plain, strict=True)]
        names = [self._names(user) if many else [] for user, many in zip(users, wanted, strict=True)]
        every = list(dict.fromkeys(name for own in names for name in own))
        try:
            found = dict(zip(every, self._store.lists(every, self._read), strict=True)) if every else {}
        except TrendingUnavailable:
            return [Trend(NOTHING, down=many > 0) for many in wanted]
        rows = {name: rows_of(one, self._ids) for name, one in found.items()}
        return [
            Trend(interleave([rows[name] for name in own]), many)
            for own, many in zip(names, wanted, strict=True)
        ]

    def _wanted(self, user: Mapping[str, Array]) -> int:
        return self._settings.trending_candidates if user else self._settings.trending_cold_candidates

    def _names(self, user: Mapping[str, Array]) -> list[str]:
        """Lists of the user's own values, then that of everything."""
        own = [
            self._keys.among(column, user[of_user][0])
            for of_user, column in self._settings.trending_by.items()
            if of_user in user and not null_mask(user[of_user]).any()
        ]
        return [*own, self._keys.everywhere()]
