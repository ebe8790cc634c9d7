"""Fit the three NVTabular workflows and turn tables and log into arrays of codes and numbers."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from recstack_crds.v1alpha1.features import Feature
from recstack_triton_templates.stages.transforms import Array, null_mask

from recstack_training import offline, workflows
from recstack_training.bundle import PARTS
from recstack_training.columns import pack
from recstack_training.context import Context, Made
from recstack_training.dataset import RAW
from recstack_training.derive import Ints, most_frequent
from recstack_training.errors import BadInput
from recstack_training.steps.ingest import found


def _rows(ids: Ints, wanted: Ints) -> Ints:
    """Row of each of ``wanted`` in sorted ``ids``; -1 where it is not there."""
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, -1)


def _table(path: Path, key: str, columns: list[str]) -> pd.DataFrame:
    table = pq.read_table(path, columns=list(dict.fromkeys([key, *columns])))
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True).sort_values(key, ignore_index=True)
    return frame


def _means(features: list[Feature], table: pd.DataFrame) -> dict[str, float]:
    return {
        f.column: float(table[f.column].astype(np.float64).mean())
        for f in features
        if workflows.takes_number(f)
    }


def _day(path: Path, ctx: Context, users: Ints, items: Ints) -> tuple[pd.DataFrame, int]:
    """Events of known users and items with their rows in the tables; and how many others there were."""
    log = ctx.recipe.data.tables.interactions
    columns = list(dict.fromkeys([log.user, log.item, log.timestamp,
                                  *(f.column for f in ctx.recipe.features.context)]))  # fmt: skip
    frame = pq.read_table(path, columns=columns).to_pandas(integer_object_nulls=True)
    frame["__user"] = _rows(users, frame[log.user].to_numpy().astype(np.int64))
    frame["__item"] = _rows(items, frame[log.item].to_numpy().astype(np.int64))
    known = (frame["__user"] >= 0) & (frame["__item"] >= 0)
    return frame[known].reset_index(drop=True), int((~known).sum())


def _absent(values: Array) -> int | str:
    """A value that is not among ``values`` (ints, texts, nulls), for users without any: it has no code."""
    known = set(values[~null_mask(values)].tolist())
    if any(isinstance(value, str) for value in known):
        return next(text for n in range(len(known) + 1) if (text := "-" * n) not in known)
    return -1 if -1 not in known else int(min(known)) - 1


def _derive(ctx: Context, users: pd.DataFrame, items: pd.DataFrame, log: pd.DataFrame) -> None:
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


def run(ctx: Context, folder: Path) -> Made:
    """Write the package's tables and transforms; for training the two logs and the encoded users.

    The user workflow is fitted on users with an event in the training days, so that everybody else is out of
    vocabulary; the item workflow on the whole catalog; the context workflow on the training days.
    """
    parts = folder / PARTS
    parts.mkdir()
    files, tables, features = found(ctx), ctx.recipe.data.tables, ctx.recipe.features
    plain = [f for f in features.user if not f.most_frequent]
    users = _table(files.users, tables.users.id, [f.column for f in plain])
    titles = [tables.items.title] if tables.items.title else []
    derived = [f.most_frequent for f in features.user if f.most_frequent]
    items = _table(files.items, tables.items.id, [*(f.column for f in features.item), *derived, *titles])
    user_ids, item_ids = (t[e.id].to_numpy().astype(np.int64)
                          for t, e in ((users, tables.users), (items, tables.items)))  # fmt: skip

    days = [_day(path, ctx, user_ids, item_ids) for path in files.days]
    train = pd.concat([frame for frame, _ in days[: files.train]], ignore_index=True)
    held_out = pd.concat([frame for frame, _ in days[files.train :]], ignore_index=True)
    dropped = sum(count for _, count in days)
    for what, frame in (("training", train), ("held-out", held_out)):
        if frame.empty:
            raise BadInput(
                "UnknownIds",
                f"No event of the {what} days is of a user and an item of the tables; do the ids match?",
                tables.interactions.path,
            )
    _derive(ctx, users, items, train)
    now = datetime.now(UTC)
    for view, table, key, chosen in (
        (offline.USERS, users, tables.users.id, features.user),
        (offline.ITEMS, items, tables.items.id, features.item),
    ):
        path = folder / offline.FOLDER / f"{view}.parquet"
        offline.write(path, table, key, [f.column for f in chosen], now)

    fitted, compiled, sizes = {}, {}, {}
    vocabularies: dict[str, Array] = {}
    active = users.iloc[np.unique(train["__user"].to_numpy())]
    for kind, chosen, table in (
        ("user", features.user, active),
        ("item", features.item, items),
        ("context", features.context, train),
    ):
        if not chosen:
            continue
        means = _means(chosen, table)
        fitted[kind] = workflows.fit(chosen, table, means, folder / "scratch" / kind)
        workflows.save(fitted[kind], parts / "workflows" / kind)
        made = workflows.run(fitted[kind], chosen, table)
        for feature in chosen:
            compiled[feature.name], arrays = workflows.compile_feature(fitted[kind], feature, means)
            vocabularies |= arrays
            raw = table[feature.column].to_numpy()
            workflows.prove(feature, compiled[feature.name], arrays, raw, made[feature.name])
            sizes[feature.name] = workflows.size(feature, arrays)
    (parts / "transforms.json").write_text(json.dumps(compiled, sort_keys=True))
    np.savez(parts / "vocab.npz", **vocabularies)
    np.savez(parts / "users.npz", __id__=user_ids, **pack(users, [f.column for f in features.user]))
    np.savez(parts / "items.npz", __id__=item_ids, **workflows.run(fitted["item"], features.item, items))
    np.savez(
        folder / "encoded_users.npz", __id__=user_ids, **workflows.run(fitted["user"], features.user, users)
    )
    (parts / "titles.json").write_text(
        json.dumps(items[titles[0]].tolist() if titles else [None] * len(items))
    )
    for name, frame in (("train", train), ("heldout", held_out)):
        context = workflows.run(fitted["context"], features.context, frame) if "context" in fitted else {}
        raw = {RAW + k: v for k, v in pack(frame, [f.column for f in features.context]).items()}
        np.savez(
            folder / f"{name}.npz",
            __user__=frame["__user"].to_numpy(),
            __item__=frame["__item"].to_numpy(),
            __time__=frame[tables.interactions.timestamp].to_numpy(),
            **context,
            **raw,
        )
    (folder / "sizes.json").write_text(json.dumps(sizes))
    return Made({"trainRows": len(train), "heldOutRows": len(held_out), "droppedRows": dropped})
