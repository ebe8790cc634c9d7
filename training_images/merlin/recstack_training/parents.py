"""What a fine-tune goes on from: its parent's package, and the days that it adds and replays."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recstack_crds.v1alpha1.models import Ranking, Retrieval
from recstack_crds.v1alpha1.modelversion import Recipe

from recstack_training import packages
from recstack_training.context import PARENT, Context
from recstack_training.errors import BadInput
from recstack_training.tables import Found, all_days, between, entities

TWO_TOWER, DLRM = f"{packages.TRAINING}/two_tower.npz", f"{packages.TRAINING}/dlrm.npz"
"""Parts with the checkpoints."""
FOLDER = "package"
"""Of the step ``parent``: the package's parts."""
LOGGED = "logged"
"""Of the same step: behavioural features as they were served."""
FIT_ONLY: dict[str, set[str]] = {
    "retrieval": {"batch_size", "epochs", "learning_rate"},
    "ranking": {"batch_size", "epochs", "learning_rate", "negatives"},
}
"""Fields of ``models`` that a fine-tune may have otherwise than its parent: how they are fitted."""
FULL = "train a version of kind Full instead."


@dataclass(frozen=True)
class Parent:
    """A package that was fetched and verified, its parts below ``root``."""

    root: Path
    manifest: dict[str, Any]

    @classmethod
    def of(cls, ctx: Context) -> "Parent | None":
        """The parent that step ``parent`` has fetched; None: the version is from nothing."""
        if not ctx.parent:
            return None
        root = ctx.folder(PARENT) / FOLDER
        return cls(root, json.loads((root / "manifest.json").read_text()))

    def part(self, name: str) -> Path:
        """A part; ``FileNotFoundError`` when the package has none of that name."""
        path = self.root / name
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def take(self, prefixes: tuple[str, ...], parts: Path) -> None:
        """Copy the parts whose names begin with one of ``prefixes`` into ``parts``, byte for byte."""
        for name in self.manifest["parts"]:
            if name.startswith(prefixes):
                target = parts / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.root / name, target)


def pace(ctx: Context, model: Retrieval | Ranking) -> tuple[int, float]:
    """Epochs and learning rate: the fine-tune's, or else those of ``model``."""
    fit = ctx.recipe.training.fine_tune if ctx.parent else model
    return fit.epochs, fit.learning_rate


def shape(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides the models' inputs and weights."""
    chosen = recipe.model_dump(mode="json", include={"features", "models"})
    for model, fields in FIT_ONLY.items():
        for field in fields:
            del chosen["models"][model][field]
    chosen["tables"] = recipe.data.tables.model_dump(mode="json")
    return chosen


def check(ctx: Context, parent: Parent) -> None:
    """``BadInput`` when the version cannot go on from ``parent``."""
    if "days" not in parent.manifest["lineage"] or TWO_TOWER not in parent.manifest["parts"]:
        raise BadInput("ParentWithoutCheckpoint", f"Package {ctx.parent[:19]} has no checkpoint; {FULL}")
    mine = shape(ctx.recipe)
    theirs = shape(Recipe.model_validate_json(parent.part("recipe.json").read_text()))
    for section, value in mine.items():
        for key in value:
            if value[key] != theirs[section].get(key):
                raise BadInput(
                    "ParentOfAnotherRecipe",
                    f"{section}.{key} is not what package {ctx.parent[:19]} was made of, so its models "
                    f"cannot go on; {FULL}",
                )


def choose(root: Path, ctx: Context) -> Found:
    """The files under ``root`` of a fine-tune: its parent's days, those that are new, and which it replays.

    New are the days asked for, or all after the parent's. Replayed are the days that the parent held out and
    ``replayDays`` random ones before those. ``BadInput`` when no day is new.
    """
    parent = Parent.of(ctx)
    if parent is None:
        raise ValueError(f"{ctx.version} has no parent")
    known = parent.manifest["lineage"]["days"]
    days = all_days(root, ctx.recipe)
    names = {day: str(day.relative_to(root)) for day in days}
    new = between(root, days, ctx.days) if ctx.days else days
    new = tuple(day for day in new if names[day] > known["last"])
    if not new:
        raise BadInput(
            "NoNewData",
            f"There is no day after {known['last']}, the last that package {ctx.parent[:19]} was made of: "
            f"the newest is {names[days[-1]]}. Wait for another day, or train a version of kind Full.",
            ctx.recipe.data.tables.interactions.path,
        )
    before = [day for day in days if known["first"] <= names[day] < names[new[0]]]
    held_out = [day for day in before if known["heldOut"] <= names[day] <= known["last"]]
    older = [day for day in before if names[day] < known["heldOut"]]
    rng = np.random.default_rng(ctx.recipe.training.seed)
    count = min(ctx.recipe.training.fine_tune.replay_days, len(older))
    drawn = rng.choice(len(older), count, replace=False) if count else np.array([], dtype=np.int64)
    replay = tuple(sorted([*held_out, *(older[place] for place in drawn)]))
    users, items = entities(root, ctx.recipe)
    return Found((*before, *new), users, items, len(before), len(new), replay)
