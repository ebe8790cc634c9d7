"""Resolve the data source, check every table, record what was read."""

import json
from pathlib import Path

from recstack_training import media, parents
from recstack_training.context import Context, Made
from recstack_training.source import resolve
from recstack_training.tables import Found, check, entities, locate, sha256


def run(ctx: Context, folder: Path) -> Made:
    """Write ``tables.json``: folder, days, lineage of every file."""
    source = resolve(ctx, folder / "generated")
    chosen = parents.choose(source, ctx) if ctx.parent else locate(source, ctx.recipe, ctx.days)
    rows = check(chosen, ctx.recipe)
    files = [*chosen.days, chosen.users, chosen.items]
    lineage = [{"file": str(f.relative_to(source)), "sha256": sha256(f), "rows": rows[f.name]} for f in files]
    lineage += media.check(source, ctx.recipe)
    days = [str(day.relative_to(source)) for day in chosen.days]
    state = {
        "root": str(source),
        "lineage": lineage,
        "days": days,
        "train": chosen.train,
        "replay": [str(day.relative_to(source)) for day in chosen.replay],
    }
    (folder / "tables.json").write_text(json.dumps(state))
    events = sum(rows[day.name] for day in chosen.days)
    return Made(
        {
            "days": len(chosen.days),
            "interactions": events,
            "users": rows[chosen.users.name],
            "items": rows[chosen.items.name],
        },
        window={"first": days[0], "last": days[-1]},
    )


def root(ctx: Context) -> Path:
    """Folder of the files that ``ingest`` has checked."""
    return Path(json.loads((ctx.folder("ingest") / "tables.json").read_text())["root"])


def found(ctx: Context) -> Found:
    """The files that ``ingest`` has checked."""
    state = json.loads((ctx.folder("ingest") / "tables.json").read_text())
    source = Path(state["root"])
    days = tuple(source / name for name in state["days"])
    replay = tuple(source / name for name in state["replay"])
    train = state["train"]
    return Found(days, *entities(source, ctx.recipe), train, len(days) - train, replay)
