"""``nvt_user_transform`` and ``nvt_context_transform``: raw columns to the inputs of the models."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recstack_triton_templates.stages import transforms
from recstack_triton_templates.stages.transforms import Array


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

    def batch(self, raws: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        """Encoded arrays [N] by feature of N requests, each with raw arrays [1] by column, as one at a time.

        Requests with the same columns of the same kinds go through together.
        """
        if len(raws) == 1:
            return self(raws[0])
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
