"""Resolve the data source, check every table, record what was read."""

import hashlib
import json
from pathlib import Path

from recstack_training.context import Context, Made
from recstack_training.source import resolve
from recstack_training.tables import Found, check, locate


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(ctx: Context, folder: Path) -> Made:
    """Write ``tables.json``: folder, days, lineage of every file."""
    root = resolve(ctx, folder / "generated")
    found = locate(root, ctx.recipe)
    rows = check(found, ctx.recipe)
    files = [*found.days, found.users, found.items]
    lineage = [{"file": str(f.relative_to(root)), "sha256": sha256(f), "rows": rows[f.name]} for f in files]
    (folder / "tables.json").write_text(json.dumps({"root": str(root), "lineage": lineage}))
    events = sum(rows[day.name] for day in found.days)
    return Made(
        {
            "days": len(found.days),
            "interactions": events,
            "users": rows[found.users.name],
            "items": rows[found.items.name],
        }
    )


def found(ctx: Context) -> Found:
    """The files that ``ingest`` has checked."""
    state = json.loads((ctx.folder("ingest") / "tables.json").read_text())
    return locate(Path(state["root"]), ctx.recipe)
