"""The contract of each training step, as data: whatever engine runs steps, it runs these.

A step is a container that gets typed arguments, works below ``work`` and ends with one line of JSON, also its
termination message. What the lines hold and which files pass from step to step: ``docs/training.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from recstack_crds.v1alpha1.modelversion import Recipe

BAD_INPUT_EXIT_CODE = 3
"""The data or the recipe is wrong: trying again cannot help. Every other failure may be tried again."""


class Step(StrEnum):
    """Training steps, in order: each needs those before it. Which a version has: :func:`of`."""

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
    Step.INGEST: Contract("DataReady", reads_source=True),
    Step.FEATURES: Contract("Trained"),
    Step.EMBED: Contract("Trained", reads_weights=True),
    Step.TRAIN_RETRIEVAL: Contract("Trained"),
    Step.TRAIN_RANKING: Contract("Trained"),
    Step.EVALUATE: Contract("Evaluated", compares=True),
    Step.PACKAGE: Contract("Packaged"),
}


def of(recipe: Recipe) -> tuple[Step, ...]:
    """The steps of a version: without declared embeddings nothing is embedded."""
    return tuple(step for step in Step if step is not Step.EMBED or recipe.features.embeddings)


@dataclass(frozen=True)
class Arguments:
    """What every step is told. Paths are those inside the container; ``stack`` is ``namespace/name``.

    ``live_package``: digest of the package that is live; empty: none.
    """

    config: str
    work: str
    artifacts: str
    version: str
    stack: str
    image: str
    live_package: str = ""


def command(step: Step, arguments: Arguments) -> list[str]:
    """Command line of ``step``."""
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
    ]  # fmt: skip
