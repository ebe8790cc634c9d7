"""The contract of each training step, as data: whatever engine runs steps, it runs these.

A step is a container that gets typed arguments, works below ``work`` and ends with one line of JSON, also its
termination message. What the lines hold and which files pass from step to step: ``docs/training.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from recstack_crds.v1alpha1.models import Kind
from recstack_crds.v1alpha1.modelversion import Recipe

BAD_INPUT_EXIT_CODE = 3
"""The data or the recipe is wrong: trying again cannot help. Every other failure may be tried again."""


class Step(StrEnum):
    """Training steps, in order: each needs those before it. Which a version has: :func:`of`."""

    PARENT = "parent"
    INGEST = "ingest"
    FEATURES = "features"
    EMBED = "embed"
    TRAIN_RETRIEVAL = "train-retrieval"
    TRAIN_RANKING = "train-ranking"
    EVALUATE = "evaluate"
    PACKAGE = "package"


@dataclass(frozen=True)
class Contract:
    """``condition`` of the version that the step's success is part of.

    ``reads_source``: it needs the credentials and the catalog of the data source, and none of the artifacts.
    ``reads_weights``: the same of encoders' checkpoints.
    ``compares``: it may be told the package that is live.
    """

    condition: str
    reads_source: bool = False
    reads_weights: bool = False
    compares: bool = False


CONTRACTS: Mapping[Step, Contract] = {
    Step.PARENT: Contract("DataReady"),
    Step.INGEST: Contract("DataReady", reads_source=True),
    Step.FEATURES: Contract("Trained"),
    Step.EMBED: Contract("Trained", reads_weights=True),
    Step.TRAIN_RETRIEVAL: Contract("Trained"),
    Step.TRAIN_RANKING: Contract("Trained"),
    Step.EVALUATE: Contract("Evaluated", compares=True),
    Step.PACKAGE: Contract("Packaged"),
}


def of(kind: Kind, recipe: Recipe) -> tuple[Step, ...]:
    """The steps of a version: only a fine-tune has a parent, only declared embeddings are embedded."""
    absent = {Step.PARENT} if kind is not Kind.FINE_TUNE else set()
    absent |= {Step.EMBED} if not recipe.features.embeddings else set()
    return tuple(step for step in Step if step not in absent)


@dataclass(frozen=True)
class Arguments:
    """What every step is told. Paths are those inside the container; ``stack`` is ``namespace/name``.

    ``live_package``: digest of the package that is live; empty: none. ``parent_package``: of the one that a
    fine-tune goes on from; empty: from nothing. ``days``: first and last day's file; None: the default.
    """

    config: str
    work: str
    artifacts: str
    version: str
    stack: str
    image: str
    live_package: str = ""
    parent_package: str = ""
    days: tuple[str, str] | None = None


def command(step: Step, arguments: Arguments) -> list[str]:
    """Command line of ``step``."""
    first, last = arguments.days or ("", "")
    compared = arguments.live_package if CONTRACTS[step].compares else ""
    return [
        "python", "-m", "recstack_training", step.value,
        "--config", arguments.config,
        "--work", arguments.work,
        "--artifacts", arguments.artifacts,
        "--version", arguments.version,
        "--stack", arguments.stack,
        "--image", arguments.image,
        *(("--live-package", compared) if compared else ()),
        *(("--parent-package", arguments.parent_package) if arguments.parent_package else ()),
        *(("--first-day", first, "--last-day", last) if first else ()),
    ]  # fmt: skip
