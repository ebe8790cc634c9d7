"""Training rows: the log's events joined with the encoded tables."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from recstack_triton_templates.stages.transforms import Array

from recstack_training import columns
from recstack_training.bundle import PARTS
from recstack_training.context import Context
from recstack_training.masking import masked

HISTORY = "history.npz"
"""Of a fine-tune: user and item rows of all events before the split, not only those that train."""
SERVED = "served."
"""Before the name of a user feature [N] that is as it was served, in the log's file."""
RAW = "raw."
"""Before the name of a raw column in the log's file."""


@dataclass(frozen=True)
class Encoded:
    """What ``features`` left: tables by feature [U] and [I], and a log with rows into them [N].

    ``raw`` has the context columns as they are in the log [N], ``user_ids`` [U] the raw ids; ``served`` [N]
    user features that are not the table's.
    """

    user_ids: Array
    users: dict[str, Array]
    items: dict[str, Array]
    context: dict[str, Array]
    user: Array
    item: Array
    time: Array
    raw: dict[str, Array]
    served: dict[str, Array] = field(default_factory=dict)


def arrays(path: Path) -> dict[str, Array]:
    """All arrays of an npz file; no pickles."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def load(ctx: Context, part: str) -> Encoded:
    """The encoded tables and the log of ``part``, ``train`` or ``heldout``."""
    folder = ctx.folder("features")
    log = arrays(folder / f"{part}.npz")
    names = [f.name for f in ctx.recipe.features.context]
    users = arrays(folder / "encoded_users.npz")
    items = arrays(folder / PARTS / "items.npz")
    raw = {k.removeprefix(RAW): v for k, v in log.items() if k.startswith(RAW)}
    return Encoded(
        user_ids=users.pop("__id__"),
        users=users,
        items={name: column for name, column in items.items() if name != "__id__"},
        context={name: log[name] for name in names},
        user=log["__user__"],
        item=log["__item__"],
        time=log["__time__"],
        raw=columns.unpack(raw),
        served={k.removeprefix(SERVED): v for k, v in log.items() if k.startswith(SERVED)},
    )


def seen(ctx: Context) -> Encoded:
    """Everything that happened before the held-out events, for popularity and for who and what is new."""
    train, path = load(ctx, "train"), ctx.folder("features") / HISTORY
    if not path.exists():
        return train
    history = arrays(path)
    return replace(train, user=history["user"], item=history["item"])


def sizes(ctx: Context) -> dict[str, int]:
    """Number of codes of each feature, 0 for numbers."""
    loaded: dict[str, int] = json.loads((ctx.folder("features") / "sizes.json").read_text())
    return loaded


def rows(ctx: Context, data: Encoded, context: bool, seed: int) -> pd.DataFrame:
    """One row an event with all user and item features, and the context's if asked; cold start applied."""
    features, rng = ctx.recipe.features, np.random.default_rng(seed)
    user = {f.name: data.users[f.name][data.user] for f in features.user} | data.served
    row = masked(features.user, user, features.cold_start.user, rng)
    row |= {f.name: data.items[f.name][data.item] for f in features.item}
    if context:
        row |= masked(features.context, data.context, features.cold_start.context, rng)
    order = rng.permutation(len(data.user))
    return pd.DataFrame({name: column[order] for name, column in row.items()})
