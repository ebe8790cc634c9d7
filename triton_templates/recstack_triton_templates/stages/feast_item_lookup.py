"""Encoded features of candidates."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from recstack_triton_templates.stages.feast_user_lookup import ID
from recstack_triton_templates.stages.transforms import Array


class Items(Protocol):
    """Where items are."""

    @property
    def current(self) -> "ItemTable":
        """The table that a request takes, whole, from its beginning to its end."""
        ...


class ItemTable:
    """Items in memory, encoded: the package's (``items.npz``), or with features replaced since."""

    def __init__(self, table: Mapping[str, Array], features: Sequence[str]) -> None:
        self.ids = table[ID]
        self._columns = {name: table[name] for name in features}

    def __call__(self, rows: Array) -> dict[str, Array]:
        """Features [N] of catalog rows [N]."""
        return {name: column[rows] for name, column in self._columns.items()}

    def replaced(self, columns: Mapping[str, Array]) -> "ItemTable":
        """The same catalog with other features [I]."""
        return ItemTable({ID: self.ids, **self._columns, **columns}, list(self._columns))

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


def lookup(current: ItemTable, package: ItemTable, rows: Array, plain: Array) -> dict[str, Array]:
    """Features [N] of catalog rows [N], the package's own where ``plain``, bool [N]."""
    columns = current(rows)
    if current is not package and plain.any():
        for name, own in package(rows[plain]).items():
            columns[name][plain] = own
    return columns
