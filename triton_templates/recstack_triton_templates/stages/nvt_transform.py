"""``nvt_user_transform`` and ``nvt_context_transform``: raw columns to the inputs of the models."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recstack_triton_templates.stages import transforms
from recstack_triton_templates.stages.transforms import Array

HOURS = 7 * 24
"""Operators of time see which hour of the week it is, UTC, and nothing else of a time."""
REMEMBERED = 4096
"""Encoded values that are kept."""


class Transforms:
    """The compiled transforms of some features, in the order of ``names``."""

    def __init__(
        self,
        compiled: Mapping[str, Mapping[str, Any]],
        vocabularies: Mapping[str, Array],
        names: Sequence[str],
    ) -> None:
        self._features = {name: compiled[name] for name in names}
        self._vocabularies = vocabularies
        self._remembered: dict[tuple[str, str, int | str], Array] = {}
        self._defaults = {
            name: np.array([transforms.default_value(one, vocabularies)], dtype=one["dtype"])
            for name, one in self._features.items()
        }

    def __call__(self, raw: Mapping[str, Array]) -> dict[str, Array]:
        """Encoded arrays [N] by feature from raw arrays [N] by column.

        A feature whose column is absent takes its default, [1].
        """
        return {
            name: transforms.apply(one, raw[one["column"]], self._vocabularies)
            if one["column"] in raw
            else self._defaults[name]
            for name, one in self._features.items()
        }

    def of(self, columns: Iterable[str]) -> list[str]:
        """Names of the features that are made of these columns."""
        chosen = set(columns)
        return [name for name, one in self._features.items() if one["column"] in chosen]

    def batch(self, raws: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        """Encoded arrays [N] by feature of N requests, each with raw arrays [1] by column, as one at a time.

        Requests with the same columns of the same kinds go through together.
        """
        if len(raws) == 1:
            return {name: self._one(name, one, raws[0]) for name, one in self._features.items()}
        alike: dict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
        for place, raw in enumerate(raws):
            alike[tuple((column, value.dtype.kind) for column, value in raw.items())].append(place)
        result = {name: np.repeat(default, len(raws)) for name, default in self._defaults.items()}
        for places in alike.values():
            stacked = {
                column: np.concatenate([raws[i][column] for i in places]) for column in raws[places[0]]
            }
            for name, values in self(stacked).items():
                result[name][places] = values
        return result

    def _one(self, name: str, transform: Mapping[str, Any], raw: Mapping[str, Array]) -> Array:
        """One feature [1] of one request.

        Nearly all of the time of a transform is NumPy's per call, and values come again: hours, devices.
        """
        value = raw.get(transform["column"])
        if value is None:
            return self._defaults[name]
        if value.dtype.kind not in "iU":  # nulls, and numbers of which there are too many
            return transforms.apply(transform, value, self._vocabularies)
        key = value.item()
        if transform["ops"][0]["op"] in transforms.TIME:
            key = key // 3600 % HOURS
        known = self._remembered.get((name, value.dtype.kind, key))
        if known is None:
            known = transforms.apply(transform, value, self._vocabularies)
            known.setflags(write=False)
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[name, value.dtype.kind, key] = known
        return known
