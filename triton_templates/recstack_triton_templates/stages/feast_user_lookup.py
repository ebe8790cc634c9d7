"""Raw features of a user."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from recstack_triton_templates.stages.transforms import Array

ID, NULL = "__id__", "__null__."


class UserStore(Protocol):
    """Where users' features are."""

    def get(self, user_id: int) -> dict[str, Array] | None:
        """Raw values [1] by column; None for a user that is not known."""
        ...


class UserTable:
    """Users of the package (``users.npz``), in memory.

    ``id_column`` is the log's column of the user; features made from it get the id itself.
    """

    def __init__(self, table: Mapping[str, Array], id_column: str) -> None:
        self._ids = table[ID]
        nulls = {key.removeprefix(NULL): value for key, value in table.items() if key.startswith(NULL)}
        values = {key: value for key, value in table.items() if key != ID and not key.startswith(NULL)}
        self._columns = {id_column: self._ids} | values
        self._nulls = nulls

    def known(self, user_id: int | None) -> dict[str, Array]:
        """Raw values [1] by column; none for somebody anonymous or not known."""
        return (None if user_id is None else self.get(user_id)) or {}

    def get(self, user_id: int) -> dict[str, Array] | None:
        """As the protocol has it."""
        row = int(np.searchsorted(self._ids, user_id))
        if row == len(self._ids) or self._ids[row] != user_id:
            return None
        found = {name: column[row : row + 1] for name, column in self._columns.items()}
        for name, mask in self._nulls.items():
            if mask[row]:
                found[name] = np.array([None], dtype=object)
        return found
