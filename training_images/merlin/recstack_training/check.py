"""Look at the data beside the live version: which days there are, how far the newest one's features are.

Not a step: it is run at intervals, for a version whose training is done, and leaves nothing behind.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from recstack_crds.v1alpha1.modelversion import Days, Findings

from recstack_training import columns, compiled_transforms, drift
from recstack_training.bundle import PARTS
from recstack_training.context import Context
from recstack_training.dataset import arrays
from recstack_training.joins import day
from recstack_training.reuse import encode
from recstack_training.source import resolve
from recstack_training.tables import all_days, sha256

FEATURES = 16
"""Indices that are told: a termination message is short."""


def run(ctx: Context, after: str, scratch: Path) -> Findings:
    """Findings; ``after`` is the file of the last day that the version ``ctx.version`` is made of."""
    root = resolve(ctx, scratch)
    days = all_days(root, ctx.recipe)
    names = [str(path.relative_to(root)) for path in days]
    new = [name for name in names if name > after]
    window = ctx.recipe.data.window.train_days + ctx.recipe.data.window.evaluation_days
    return Findings(
        newest=names[-1],
        digest=sha256(days[-1]),
        days=len(days),
        new_days=len(new),
        fresh=Days(first=new[0], last=new[-1]) if new else None,
        window=Days(first=names[-window], last=names[-1]) if len(names) >= window else None,
        psi=indices(ctx, days[-1]),
    )


def indices(ctx: Context, path: Path) -> dict[str, float]:
    """Drift of the day at ``path``; empty where the version's files are gone from the work volume."""
    parts = ctx.folder("features") / PARTS
    if not (parts / drift.PART).is_file():
        return {}
    compiled, vocabularies = compiled_transforms.read(parts / "transforms.json"), arrays(parts / "vocab.npz")
    users, items = arrays(parts / "users.npz"), arrays(parts / "items.npz")
    user_ids, item_ids = users.pop("__id__"), items.pop("__id__")
    events, _ = day(path, ctx, user_ids, item_ids)
    if events.empty:
        return {}
    sides = drift.watched(ctx.recipe)
    raw = pd.DataFrame(dict(columns.unpack(users)))
    found: dict[str, Any] = drift.indices(
        json.loads((parts / drift.PART).read_text()),
        drift.of_events(
            ctx.recipe,
            encode(sides["user"], raw, compiled, vocabularies),
            items,
            encode(sides["context"], events, compiled, vocabularies),
            (events["__user"].to_numpy(), events["__item"].to_numpy()),
        ),
    )
    return {name: round(value, 4) for name, value in list(found.items())[:FEATURES]}
