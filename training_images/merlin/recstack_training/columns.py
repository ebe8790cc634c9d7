"""Raw columns in npz files: no pickles, so texts are fixed-width and nulls lie beside them."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from recstack_triton_templates.stages.transforms import Array, null_mask

NULL_PREFIX = "__null__."


def pack(table: pd.DataFrame, names: Iterable[str]) -> dict[str, Array]:
    """Columns [N] of ``table`` for ``np.savez``; ``__null__.<name>`` bool [N] beside those with nulls.

    Where it is null a text is empty and a number NaN or 0.
    """
    out: dict[str, Array] = {}
    for name in dict.fromkeys(names):
        column = table[name].to_numpy()
        missing = null_mask(column)
        if column.dtype.kind == "O":
            known = column[~missing]
            text = bool(len(known)) and isinstance(known[0], str)
            filled = np.zeros(len(column), dtype=known.astype(str).dtype if text else np.int64)
            filled[~missing] = known
            column = filled
        out[name] = column
        if missing.any():
            out[NULL_PREFIX + name] = missing
    return out


def unpack(stored: Mapping[str, Array]) -> dict[str, Array]:
    """What ``pack`` was given: an object array with ``None`` where texts or whole numbers are null."""
    out: dict[str, Array] = {}
    for name, column in stored.items():
        if name.startswith(NULL_PREFIX):
            continue
        out[name] = column
        missing = stored.get(NULL_PREFIX + name)
        if missing is not None and column.dtype.kind != "f":
            out[name] = column.astype(object)
            out[name][missing] = None
    return out
