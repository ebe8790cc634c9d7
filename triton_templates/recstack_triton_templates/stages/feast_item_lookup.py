"""Encoded features of candidates."""

from collections.abc import Mapping, Sequence

from recstack_triton_templates.stages.feast_user_lookup import ID
from recstack_triton_templates.stages.transforms import Array


class ItemTable:
    """Items of the package (``items.npz``), in memory, encoded when the package was made."""

    def __init__(self, table: Mapping[str, Array], features: Sequence[str]) -> None:
        self.ids = table[ID]
        self._columns = {name: table[name] for name in features}

    def __call__(self, rows: Array) -> dict[str, Array]:
        """Features [N] of catalog rows [N]."""
        return {name: column[rows] for name, column in self._columns.items()}

    def column(self, feature: str) -> Array:
        """One feature of the whole catalog [I].

        Raises:
            ValueError: the package has no such feature of items.
        """
        if feature not in self._columns:
            raise ValueError(
                f"spec.serving.diversity.maxPerValue.feature: this version has no item feature {feature!r}; "
                f"it has {', '.join(self._columns)}"
            )
        return self._columns[feature]
