"""Fit the three NVTabular workflows and turn tables and log into arrays of codes and numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from recstack_crds.v1alpha1.features import Feature
from recstack_triton_templates.stages import transforms
from recstack_triton_templates.stages.transforms import Array

from recstack_training import operators, reuse, workflows
from recstack_training.bundle import PARTS
from recstack_training.columns import pack
from recstack_training.context import Context, Made
from recstack_training.errors import BadInput
from recstack_training.joins import day, derive, save_histograms, save_log, save_offline, table
from recstack_training.parents import Parent
from recstack_training.steps.ingest import found


def _means(features: list[Feature], table: pd.DataFrame) -> dict[str, float]:
    return {
        f.column: float(table[f.column].astype(np.float64).mean())
        for f in features
        if workflows.takes_number(f)
    }


def run(ctx: Context, folder: Path) -> Made:
    """Write the package's tables and transforms; for training the two logs and the encoded users.

    The user workflow is fitted on users with an event in the training days, so that everybody else is out of
    vocabulary; the item workflow on the whole catalog; the context workflow on the training days.
    """
    parent = Parent.of(ctx)
    if parent is not None:
        return reuse.run(ctx, parent, folder)
    parts = folder / PARTS
    parts.mkdir()
    files, tables, features = found(ctx), ctx.recipe.data.tables, ctx.recipe.features
    plain = [f for f in features.user if not f.most_frequent]
    users = table(files.users, tables.users.id, [f.column for f in plain])
    titles = [tables.items.title] if tables.items.title else []
    derived = [f.most_frequent for f in features.user if f.most_frequent]
    items = table(files.items, tables.items.id, [*(f.column for f in features.item), *derived, *titles])
    user_ids, item_ids = (t[e.id].to_numpy().astype(np.int64)
                          for t, e in ((users, tables.users), (items, tables.items)))  # fmt: skip

    days = [day(path, ctx, user_ids, item_ids) for path in files.days]
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
    derive(ctx, users, items, train)
    save_offline(folder, ctx, users, items)

    fitted, compiled, sizes = {}, {}, {}
    beside: list[dict[str, str]] = []
    vocabularies: dict[str, Array] = {}
    active = users.iloc[np.unique(train["__user"].to_numpy())]
    for kind, chosen, rows in (
        ("user", features.user, active),
        ("item", features.item, items),
        ("context", features.context, train),
    ):
        if not chosen:
            continue
        means = _means(chosen, rows)
        fitted[kind] = workflows.fit(chosen, rows, means, folder / "scratch" / kind)
        workflows.save(fitted[kind], parts / "workflows" / kind)
        made = workflows.run(fitted[kind], chosen, rows)
        beside += operators.save(chosen, parts)
        for feature in chosen:
            compiled[feature.name], arrays = workflows.compile_feature(fitted[kind], feature, means)
            vocabularies |= arrays
            here = transforms.bound({feature.name: compiled[feature.name]}, operators.operator_in(parts))
            workflows.prove(
                feature, here[feature.name], arrays, rows[feature.column].to_numpy(), made[feature.name]
            )
            sizes[feature.name] = workflows.size(feature, arrays)
    (parts / "transforms.json").write_text(json.dumps(compiled, sort_keys=True))
    np.savez(parts / "vocab.npz", **vocabularies)
    np.savez(parts / "users.npz", __id__=user_ids, **pack(users, [f.column for f in features.user]))
    encoded_items = workflows.run(fitted["item"], features.item, items)
    encoded_users = workflows.run(fitted["user"], features.user, users)
    np.savez(parts / "items.npz", __id__=item_ids, **encoded_items)
    np.savez(folder / "encoded_users.npz", __id__=user_ids, **encoded_users)
    (parts / "titles.json").write_text(
        json.dumps(items[titles[0]].tolist() if titles else [None] * len(items))
    )
    for name, frame in (("train", train), ("heldout", held_out)):
        context = workflows.run(fitted["context"], features.context, frame) if "context" in fitted else {}
        save_log(folder / f"{name}.npz", ctx, frame, context)
        if name == "train":
            save_histograms(
                parts, ctx.recipe, frame, users=encoded_users, items=encoded_items, context=context
            )
    (folder / "sizes.json").write_text(json.dumps(sizes))
    rows = {"trainRows": len(train), "heldOutRows": len(held_out), "droppedRows": dropped}
    return Made(rows, not_compiled=tuple(beside))
