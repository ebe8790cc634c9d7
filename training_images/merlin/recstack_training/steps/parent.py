"""Fetch the package that a fine-tune goes on from, whatever became of the work volume that made it.

And the behavioural features that were logged since: later steps read no artifacts.
"""

from pathlib import Path

from recstack_training import logged, packages
from recstack_training.artifacts import open_store
from recstack_training.context import Context, Made
from recstack_training.errors import BadInput
from recstack_training.parents import FOLDER, FULL, LOGGED, Parent, check


def run(ctx: Context, folder: Path) -> Made:
    """Write ``logged/`` and ``package/``, verified; ``BadInput`` when nothing can go on from the package."""
    if not ctx.parent:
        raise BadInput("InvalidRecipe", "A version without a parent has no step parent.")
    store = open_store(ctx.artifacts)
    root = folder / FOLDER
    try:
        manifest = packages.manifest(store, ctx.parent)
        parts = packages.fetch(store, ctx.parent, root, training=True)
    except FileNotFoundError:
        raise BadInput("ParentMissing", f"There is no package {ctx.parent}; {FULL}") from None
    (root / packages.MANIFEST).write_bytes(packages.canonical(manifest))
    check(ctx, Parent(root, manifest))
    files = logged.fetch(store, ctx.stack, folder / LOGGED)
    return Made(
        {
            "loggedFiles": files,
            "parts": len(parts),
            "bytes": sum(path.stat().st_size for path in parts.values()),
        }
    )
