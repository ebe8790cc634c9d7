"""Features of a fine-tune: nothing is fitted, the parent's vocabularies, codes and transforms are taken over.

Users and items that the parent does not know stay out of vocabulary; an item that it does not have is not in
the index, so its events are dropped. The user table is read anew and its derived columns are made of all days
up to the split, so that they are as fresh as a training from nothing would have them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recstack_crds.v1alpha1.features import Feature
from recstack_crds.v1alpha1.modelversion import Skew
from recstack_triton_templates.stages import transforms
from recstack_triton_templates.stages.transforms import Array

from recstack_training import compiled_transforms, lambdas
from recstack_training.bundle import PARTS
from recstack_training.columns import pack
from recstack_training.context import PARENT, Context, Made
from recstack_training.dataset import HISTORY, SERVED, arrays
from recstack_training.derive import Ints
from recstack_training.errors import BadInput
from recstack_training.joins import day, derive, rows_of, save_histograms, save_log, save_offline, table
from recstack_training.logged import Logged, as_json, behavioural, read
from recstack_training.parents import LOGGED, Parent
from recstack_training.steps.ingest import found

TAKEN = ("transforms.json", "vocab.npz", "items.npz", "titles.json", "workflows/", f"{lambdas.FOLDER}/")


def encode(
    features: Sequence[Feature],
    raw: pd.DataFrame,
    compiled: Mapping[str, Any],
    vocabularies: Mapping[str, Array],
) -> dict[str, Array]:
    """Encoded features [N] of raw columns [N], as a serving pod encodes them."""
    return {
        f.name: transforms.apply(compiled[f.name], _column(raw[f.column], compiled[f.name]), vocabularies)
        for f in features
    }


def _column(values: pd.Series, transform: Mapping[str, Any]) -> Array:
    column = values.to_numpy()
    return column.astype(np.float64) if "raw" in transform["default"] and column.dtype.kind == "O" else column


def cut(time: Array, share: float) -> int:
    """The moment before which about ``share`` of the events at ``time`` [N] lie; some on either side of it.

    ``BadInput`` when all are at one moment.
    """
    ordered = np.sort(time)
    place = min(max(1, int(len(ordered) * share)), len(ordered) - 1)
    moment = int(ordered[place])
    if moment == ordered[0]:
        later = ordered[ordered > moment]
        if not len(later):
            raise BadInput(
                "TooFewEvents",
                "The new days' events are all at one time: there is no later part to hold out.",
            )
        moment = int(later[0])
    return moment


def sizes(compiled: Mapping[str, Any], vocabularies: Mapping[str, Array]) -> dict[str, int]:
    """Number of codes of each feature, 0 for numbers."""
    out = {}
    for name, transform in compiled.items():
        last = transform["ops"][-1]
        if last["op"] not in transforms.CATEGORIES:
            out[name] = 0
        else:
            count = last["buckets"] if "buckets" in last else len(vocabularies[last["codes"]])
            out[name] = count + transforms.FIRST
    return out


def run(ctx: Context, parent: Parent, folder: Path) -> Made:
    """Write what ``steps/features.py`` writes, and the events that were seen up to the split as history."""
    parts = folder / PARTS
    parts.mkdir()
    parent.take(TAKEN, parts)
    compiled, vocabularies = (
        compiled_transforms.read(parts / "transforms.json"),
        arrays(parent.part("vocab.npz")),
    )
    files, tables, features = found(ctx), ctx.recipe.data.tables, ctx.recipe.features
    plain = [f for f in features.user if not f.most_frequent]
    users = table(files.users, tables.users.id, [f.column for f in plain])
    derived = [f.most_frequent for f in features.user if f.most_frequent]
    user_ids = users[tables.users.id].to_numpy().astype(np.int64)
    encoded_items = arrays(parent.part("items.npz"))
    item_ids = encoded_items.pop("__id__")
    items = table(files.items, tables.items.id, [*(f.column for f in features.item), *derived])
    items = items.set_index(tables.items.id).reindex(item_ids).reset_index()

    read = {path: day(path, ctx, user_ids, item_ids) for path in files.days}
    dropped = sum(read[path][1] for path in (*files.replay, *files.days[files.train :]))
    new = pd.concat([read[path][0] for path in files.days[files.train :]], ignore_index=True)
    if len(new) < 2:
        raise BadInput(
            "UnknownIds",
            "Fewer than two events of the new days are of a user of the table and an item of the parent's "
            "catalog; train a version of kind Full.",
            tables.interactions.path,
        )
    time = new[tables.interactions.timestamp].to_numpy().astype(np.int64)
    early = time < cut(time, ctx.recipe.training.fine_tune.train_fraction)
    old = [read[path][0] for path in files.days[: files.train]]
    history = pd.concat([*old, new[early]], ignore_index=True)
    train = pd.concat([*(read[path][0] for path in files.replay), new[early]], ignore_index=True)
    held_out = new[~early].reset_index(drop=True)
    derive(ctx, users, items, history)
    save_offline(folder, ctx, users, items)

    np.savez(parts / "users.npz", __id__=user_ids, **pack(users, [f.column for f in features.user]))
    encoded_users = encode(features.user, users, compiled, vocabularies)
    np.savez(folder / "encoded_users.npz", __id__=user_ids, **encoded_users)
    np.savez(folder / HISTORY, user=history["__user"].to_numpy(), item=history["__item"].to_numpy())
    values = _logged(ctx, user_ids, compiled, vocabularies)
    skew: list[Skew] = []
    for name, frame in (("train", train), ("heldout", held_out)):
        encoded = encode(features.context, frame, compiled, vocabularies)
        served = values.instead(encoded_users, *_when(ctx, frame)) if name == "train" else {}
        save_log(folder / f"{name}.npz", ctx, frame, encoded | {SERVED + k: v for k, v in served.items()})
        if name == "train":
            skew = list(values.skew(encoded_users, *_when(ctx, frame)))
            save_histograms(
                parts, ctx.recipe, frame, users=encoded_users, items=encoded_items, context=encoded
            )
    (folder / "sizes.json").write_text(json.dumps(sizes(compiled, vocabularies)))
    return Made(
        {
            "trainRows": len(train),
            "heldOutRows": len(held_out),
            "droppedRows": dropped,
            "newRows": len(new),
            "replayDays": len(files.replay),
            "loggedRows": len(values.user),
        },
        skew=tuple(as_json(skew)),
        not_compiled=tuple(parent.manifest.get("nvtabular", ())),
    )


def _when(ctx: Context, frame: pd.DataFrame) -> tuple[Ints, Ints]:
    """User rows and seconds [N] of events."""
    time = frame[ctx.recipe.data.tables.interactions.timestamp].to_numpy().astype(np.int64)
    return frame["__user"].to_numpy(), time


def _logged(
    ctx: Context, user_ids: Ints, compiled: Mapping[str, Any], vocabularies: Mapping[str, Array]
) -> Logged:
    """What the step ``parent`` has fetched, of users of the table."""
    key, chosen = ctx.recipe.data.tables.users.id, behavioural(ctx.recipe.features.user)
    frame = read(ctx.folder(PARENT) / LOGGED, key, [feature.column for feature in chosen])
    rows = rows_of(user_ids, frame[key].to_numpy().astype(np.int64))
    frame, rows = frame[rows >= 0], rows[rows >= 0]
    encoded = encode(chosen, frame, compiled, vocabularies)
    return Logged(encoded, rows, frame["__time"].to_numpy().astype(np.int64))
