"""Resolve the data source, check every table, record what was read."""

import json
from pathlib import Path

from recstack_training import media
from recstack_training.context import Context, Made
from recstack_training.source import resolve
from recstack_training.tables import Found, check, locate, sha256


def run(ctx: Context, folder: Path) -> Made:
    """Write ``tables.json``: folder, days, lineage of every file."""
    source = resolve(ctx, folder / "generated")
    found = locate(source, ctx.recipe)
    rows = check(found, ctx.recipe)
    files = [*found.days, found.users, found.items]
    lineage = [{"file": str(f.relative_to(source)), "sha256": sha256(f), "rows": rows[f.name]} for f in files]
    lineage += media.check(source, ctx.recipe)
    (folder / "tables.json").write_text(json.dumps({"root": str(source), "lineage": lineage}))
    events = sum(rows[day.name] for day in found.days)
    return Made(
        {
            "days": len(found.days),
            "interactions": events,
            "users": rows[found.users.name],
            "items": rows[found.items.name],
        }
    )


def root(ctx: Context) -> Path:
    """Folder of the files that ``ingest`` has checked."""
    return Path(json.loads((ctx.folder("ingest") / "tables.json").read_text())["root"])


def found(ctx: Context) -> Found:
    """The tables that ``ingest`` has checked."""
    return locate(root(ctx), ctx.recipe)
