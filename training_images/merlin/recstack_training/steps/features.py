"""Fit the three NVTabular workflows and turn tables and log into arrays of codes and numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from recstack_crds.v1alpha1.features import Feature
from recstack_triton_templates.stages.transforms import OUT_OF_VOCABULARY, Array, null_mask

from recstack_training import workflows
from recstack_training.context import Context
from recstack_training.derive import Ints, most_frequent
from recstack_training.steps.ingest import found


def _rows(ids: Ints, wanted: Ints) -> Ints:
    """Row of each of ``wanted`` in sorted ``ids``; -1 where it is not there."""
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, -1)


def _table(path: Path, key: str, columns: list[str]) -> pd.DataFrame:
    table = pq.read_table(path, columns=list(dict.fromkeys([key, *columns])))
    return table.to_pandas().sort_values(key, ignore_index=True)


def _means(features: list[Feature], table: pd.DataFrame) -> dict[str, float]:
    return {f.column: float(table[f.column].mean()) for f in features if workflows.takes_number(f)}


def _day(path: Path, ctx: Context, users: Ints, items: Ints) -> tuple[pd.DataFrame, int]:
    """Events of known users and items with their rows in the tables; and how many others there were."""
    log = ctx.recipe.data.tables.interactions
    columns = list(dict.fromkeys([log.user, log.item, log.timestamp,
                                  *(f.column for f in ctx.recipe.features.context)]))  # fmt: skip
    frame = pq.read_table(path, columns=columns).to_pandas()
    frame["__user"] = _rows(users, frame[log.user].to_numpy().astype(np.int64))
    frame["__item"] = _rows(items, frame[log.item].to_numpy().astype(np.int64))
    known = (frame["__user"] >= 0) & (frame["__item"] >= 0)
    return frame[known].reset_index(drop=True), int((~known).sum())


def _derive(ctx: Context, users: pd.DataFrame, items: pd.DataFrame, log: pd.DataFrame) -> None:
    """Add the derived columns to ``users``; a user without events gets null."""
    time = log[ctx.recipe.data.tables.interactions.timestamp].to_numpy().astype(np.int64)
    for feature in ctx.recipe.features.user:
        if not feature.most_frequent:
            continue
        codes, values = pd.factorize(items[feature.most_frequent], use_na_sentinel=False)
        best = most_frequent(
            log["__user"].to_numpy(), codes[log["__item"].to_numpy()].astype(np.int64), time, len(users)
        )
        column = pd.Series(values, dtype=object).reindex(best)
        users[feature.column] = column.to_numpy()


def _encode(workflow: Any, features: list[Feature], table: pd.DataFrame) -> dict[str, Array]:
    """Encoded columns of ``table``; a missing derived value counts as out of vocabulary, not null."""
    encoded = workflows.run(workflow, table)
    for feature in features:
        if feature.most_frequent:
            encoded[feature.name][null_mask(table[feature.column].to_numpy())] = OUT_OF_VOCABULARY
    return encoded


def run(ctx: Context, folder: Path) -> tuple[dict[str, float], None]:
    """Write workflows, compiled transforms, ``users.npz``, ``items.npz``, ``train.npz`` and ``heldout.npz``.

    The user workflow is fitted on users with an event in the training days, so that everybody else is out of
    vocabulary; the item workflow on the whole catalog; the context workflow on the training days.
    """
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
    _derive(ctx, users, items, train)

    fitted, compiled, vocabularies, sizes = {}, {}, {}, {}
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
        workflows.save(fitted[kind], folder / "workflows" / kind)
        for feature in chosen:
            compiled[feature.name], arrays = workflows.compile_feature(fitted[kind], feature, means)
            vocabularies |= arrays
            vocabulary = next((a for n, a in arrays.items() if n.endswith(".codes")), None)
            sizes[feature.name] = 0 if vocabulary is None else len(vocabulary) + 3
    (folder / "transforms.json").write_text(json.dumps(compiled, sort_keys=True))
    np.savez(folder / "vocab.npz", **vocabularies)
    np.savez(folder / "users.npz", __id__=user_ids, **_encode(fitted["user"], features.user, users))
    np.savez(folder / "items.npz", __id__=item_ids, **_encode(fitted["item"], features.item, items))
    (folder / "titles.json").write_text(
        json.dumps(items[titles[0]].tolist() if titles else [None] * len(items))
    )
    for name, frame in (("train", train), ("heldout", held_out)):
        context = workflows.run(fitted["context"], frame) if "context" in fitted else {}
        raw = {f"raw.{f.column}": frame[f.column].to_numpy() for f in features.context}
        np.savez(
            folder / f"{name}.npz",
            __user__=frame["__user"].to_numpy(),
            __item__=frame["__item"].to_numpy(),
            __time__=frame[tables.interactions.timestamp].to_numpy(),
            **context,
            **{k: v.astype(str) if v.dtype.kind == "O" else v for k, v in raw.items()},
        )
    (folder / "sizes.json").write_text(json.dumps(sizes))
    return {"trainRows": len(train), "heldOutRows": len(held_out), "droppedRows": dropped}, None
