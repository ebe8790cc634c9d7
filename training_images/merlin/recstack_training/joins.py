"""The raw tables and the log, put together: rows of tables, and columns that are derived from the log."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_triton_templates.stages.transforms import Array, null_mask

from recstack_training import drift, offline
from recstack_training.columns import pack
from recstack_training.context import Context
from recstack_training.dataset import RAW
from recstack_training.derive import Ints, most_frequent


def rows_of(ids: Ints, wanted: Ints) -> Ints:
    """Row of each of ``wanted`` in sorted ``ids``; -1 where it is not there."""
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, -1)


def table(path: Path, key: str, columns: list[str]) -> pd.DataFrame:
    """Columns of a table in order of its ids."""
    read = pq.read_table(path, columns=list(dict.fromkeys([key, *columns])))
    frame: pd.DataFrame = read.to_pandas(integer_object_nulls=True).sort_values(key, ignore_index=True)
    return frame


def day(path: Path, ctx: Context, users: Ints, items: Ints) -> tuple[pd.DataFrame, int]:
    """Events of known users and items with their rows in the tables; and how many others there were."""
    log = ctx.recipe.data.tables.interactions
    columns = list(dict.fromkeys([log.user, log.item, log.timestamp,
                                  *(f.column for f in ctx.recipe.features.context)]))  # fmt: skip
    frame = pq.read_table(path, columns=columns).to_pandas(integer_object_nulls=True)
    frame["__user"] = rows_of(users, frame[log.user].to_numpy().astype(np.int64))
    frame["__item"] = rows_of(items, frame[log.item].to_numpy().astype(np.int64))
    known = (frame["__user"] >= 0) & (frame["__item"] >= 0)
    return frame[known].reset_index(drop=True), int((~known).sum())


def _absent(values: Array) -> int | str:
    """A value that is not among ``values`` (ints, texts, nulls), for users without any: it has no code."""
    known = set(values[~null_mask(values)].tolist())
    if any(isinstance(value, str) for value in known):
        return next(text for n in range(len(known) + 1) if (text := "-" * n) not in known)
    return -1 if -1 not in known else int(min(known)) - 1


def derive(ctx: Context, users: pd.DataFrame, items: pd.DataFrame, log: pd.DataFrame) -> None:
    """Add the derived columns to ``users``.

    A user without events gets a value outside of the vocabulary: null means that the item's column is null.
    """
    time = log[ctx.recipe.data.tables.interactions.timestamp].to_numpy().astype(np.int64)
    for feature in ctx.recipe.features.user:
        if not feature.most_frequent:
            continue
        codes, uniques = pd.factorize(items[feature.most_frequent], use_na_sentinel=False)
        values = np.asarray(uniques)
        best = most_frequent(
            log["__user"].to_numpy(), codes[log["__item"].to_numpy()].astype(np.int64), time, len(users)
        )
        users[feature.column] = np.append(values, _absent(values))[best]


def save_log(path: Path, ctx: Context, frame: pd.DataFrame, encoded: Mapping[str, Array]) -> None:
    """Write a log for ``dataset.load``: rows into the tables, times, raw context, ``encoded`` columns [N]."""
    raw = {RAW + k: v for k, v in pack(frame, [f.column for f in ctx.recipe.features.context]).items()}
    np.savez(
        path,
        __user__=frame["__user"].to_numpy(),
        __item__=frame["__item"].to_numpy(),
        __time__=frame[ctx.recipe.data.tables.interactions.timestamp].to_numpy(),
        **encoded,
        **raw,
    )


def save_offline(folder: Path, ctx: Context, users: pd.DataFrame, items: pd.DataFrame) -> None:
    """Write both tables as they were read now, for the offline store."""
    now, tables, features = datetime.now(UTC), ctx.recipe.data.tables, ctx.recipe.features
    for view, rows, key, chosen in (
        (offline.USERS, users, tables.users.id, features.user),
        (offline.ITEMS, items, tables.items.id, features.item),
    ):
        path = folder / offline.FOLDER / f"{view}.parquet"
        offline.write(path, rows, key, [f.column for f in chosen], now)


def save_histograms(
    parts: Path,
    recipe: Recipe,
    frame: pd.DataFrame,
    *,
    users: Mapping[str, Array],
    items: Mapping[str, Array],
    context: Mapping[str, Array],
) -> None:
    """Write the histograms of training events ``frame``, with encoded features, for ``drift.indices``."""
    rows = frame["__user"].to_numpy(), frame["__item"].to_numpy()
    learned = drift.histograms(drift.of_events(recipe, users, items, context, rows))
    (parts / drift.PART).parent.mkdir(exist_ok=True)
    (parts / drift.PART).write_text(json.dumps(learned, sort_keys=True))
