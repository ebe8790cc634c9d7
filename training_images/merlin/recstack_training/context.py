"""What every step is given, and where its intermediate state lies."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recstack_crds.v1alpha1.modelversion import Recipe

STEPS = ("ingest", "features", "embed", "train-retrieval", "train-ranking", "evaluate", "package")
"""In order; which a version has: ``Context.steps``."""


@dataclass(frozen=True)
class StepResult:
    """What a step reports: its time in seconds, numbers by name, the package's digest if it made one.

    ``gates``: verdicts as JSON, of the evaluation only.
    """

    step: str
    compute_seconds: float
    metrics: dict[str, float]
    package: str | None = None
    gates: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The result as the operator reads it."""
        return {
            "step": self.step,
            "computeSeconds": round(self.compute_seconds, 3),
            "metrics": self.metrics,
            "package": self.package,
            **({"gates": list(self.gates)} if self.gates else {}),
        }


@dataclass(frozen=True)
class Made:
    """What a step's module gives back: numbers by name, a package's digest, verdicts of gates as JSON."""

    metrics: dict[str, float]
    package: str | None = None
    gates: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Context:
    """One run of one version. ``stack`` is ``namespace/name``; ``data`` is where a data volume is mounted,
    ``weights`` below which claims with encoders' checkpoints are, each under its name.

    ``live`` is the digest of the package that relative gates compare with; empty: none is live.
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

    @property
    def steps(self) -> tuple[str, ...]:
        """The version's steps: without declared embeddings nothing is embedded."""
        return tuple(step for step in STEPS if step != "embed" or self.recipe.features.embeddings)

    def before(self, step: str) -> tuple[str, ...]:
        """The steps before ``step`` that leave parts of the package."""
        return self.steps[1 : self.steps.index(step)]

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
        old = json.loads(done.read_text())
        return StepResult(
            old["step"], old["computeSeconds"], old["metrics"], old["package"], tuple(old.get("gates", ()))
        )
    temporary = ctx.run / f".{step}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    result = body(temporary)
    (temporary / "done.json").write_text(json.dumps(result.as_json(), sort_keys=True))
    shutil.rmtree(final, ignore_errors=True)
    os.replace(temporary, final)
    return result
