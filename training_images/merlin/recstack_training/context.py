"""What every step is given, and where its intermediate state lies."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recstack_crds.v1alpha1.models import Kind
from recstack_crds.v1alpha1.modelversion import Days, Recipe

STEPS = ("ingest", "features", "embed", "train-retrieval", "train-ranking", "evaluate", "package")
"""In order; which a version has: ``Context.steps``."""
PARENT = "parent"
"""The step that comes first in a fine-tune."""


@dataclass(frozen=True)
class Made:
    """What a step's module gives back: numbers by name, a package's digest, verdicts of gates as JSON.

    ``gates``: of the evaluation only; ``window``: the days that the version is made of, of ingest only;
    ``skew``: of a fine-tune's features only; ``not_compiled``: features and their operators that NVTabular
    runs where the version is served, of features only.
    """

    metrics: dict[str, float]
    package: str | None = None
    gates: tuple[dict[str, Any], ...] = ()
    window: dict[str, str] | None = None
    skew: tuple[dict[str, Any], ...] = ()
    not_compiled: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class StepResult:
    """What a step reports: its time in seconds, and what it made."""

    step: str
    compute_seconds: float
    made: Made

    def as_json(self) -> dict[str, Any]:
        """The result as the operator reads it."""
        return {
            "step": self.step,
            "computeSeconds": round(self.compute_seconds, 3),
            "metrics": self.made.metrics,
            "package": self.made.package,
            **({"gates": list(self.made.gates)} if self.made.gates else {}),
            **({"window": self.made.window} if self.made.window else {}),
            **({"skew": list(self.made.skew)} if self.made.skew else {}),
            **({"notCompiled": list(self.made.not_compiled)} if self.made.not_compiled else {}),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "StepResult":
        """A result that was recorded."""
        made = Made(
            value["metrics"],
            value["package"],
            tuple(value.get("gates", ())),
            value.get("window"),
            tuple(value.get("skew", ())),
            tuple(value.get("notCompiled", ())),
        )
        return cls(value["step"], value["computeSeconds"], made)


@dataclass(frozen=True)
class Context:
    """One run of one version. ``stack`` is ``namespace/name``; ``data`` is where a data volume is mounted,
    ``weights`` below which claims with encoders' checkpoints are, each under its name.

    ``live`` is the digest of the package that relative gates compare with; empty: none is live. ``parent`` is
    the digest of the package that a fine-tune goes on from. ``days`` None: what the kind's default is.
    """

    recipe: Recipe
    work: Path
    artifacts: str
    version: str
    stack: str
    image: str
    data: Path = Path("/data")
    live: str = ""
    weights: Path = Path("/weights")
    parent: str = ""
    days: Days | None = None

    @property
    def kind(self) -> Kind:
        """A version with a parent is a fine-tune."""
        return Kind.FINE_TUNE if self.parent else Kind.FULL

    @property
    def steps(self) -> tuple[str, ...]:
        """The version's steps: only a fine-tune has a parent, only declared embeddings are embedded."""
        every = (PARENT, *STEPS) if self.parent else STEPS
        return tuple(step for step in every if step != "embed" or self.recipe.features.embeddings)

    def before(self, step: str) -> tuple[str, ...]:
        """The steps before ``step`` that leave parts of the package."""
        return self.steps[self.steps.index("features") : self.steps.index(step)]

    @property
    def run(self) -> Path:
        """Folder of this version's intermediate state."""
        return self.work / "runs" / self.version

    def folder(self, step: str) -> Path:
        """Folder of a finished step."""
        return self.run / step


def once(ctx: Context, step: str, body: Callable[[Path], StepResult]) -> StepResult:
    """Run ``body`` on a temporary folder that becomes the step's folder when it succeeds.

    A step that is done already is not run again: its recorded result is returned. A folder without
    ``done.json`` cannot be seen by later steps, so a killed step leaves nothing half-made behind.
    """
    final = ctx.folder(step)
    done = final / "done.json"
    if done.exists():
        return StepResult.from_json(json.loads(done.read_text()))
    temporary = ctx.run / f".{step}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    result = body(temporary)
    (temporary / "done.json").write_text(json.dumps(result.as_json(), sort_keys=True))
    shutil.rmtree(final, ignore_errors=True)
    os.replace(temporary, final)
    return result
