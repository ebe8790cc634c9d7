"""The parts of the package that the finished steps have left, by their names in the package."""

from collections.abc import Iterable
from pathlib import Path

from recstack_training.context import Context

PARTS = "parts"
"""Folder of a step whose files go into the package under their relative path."""


def files(ctx: Context, steps: Iterable[str]) -> dict[str, Path]:
    """All parts of ``steps``; ``FileNotFoundError`` when one is not done."""
    found: dict[str, Path] = {}
    for step in steps:
        root = ctx.folder(step) / PARTS
        if not root.is_dir():
            raise FileNotFoundError(f"step {step} of {ctx.version} is not done: {root} does not exist")
        found |= {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}
    return found
