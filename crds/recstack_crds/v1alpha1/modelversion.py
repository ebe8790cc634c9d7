"""ModelVersion: an immutable request for one trained bundle."""

from enum import StrEnum

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel, Name
from recstack_crds.v1alpha1.data import Data
from recstack_crds.v1alpha1.features import Features
from recstack_crds.v1alpha1.models import Evaluation, Kind, Models, Training
from recstack_crds.v1alpha1.rollout import RolledBack
from recstack_crds.v1alpha1.status import Condition


class Promote(StrEnum):
    """Who lets it serve."""

    AUTO = "Auto"
    MANUAL = "Manual"


class Recipe(ApiModel):
    """Everything that decides what the bundle is: a frozen copy of the stack's at creation."""

    data: Data = Field(default_factory=Data, description="Tables and columns.")
    features: Features = Field(default_factory=Features, description="Features.")
    models: Models = Field(default_factory=Models, description="Models.")
    training: Training = Field(default_factory=Training, description="Training.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="Gates.")


class ModelVersionSpec(ApiModel):
    """Immutable."""

    stack: Name = Field(description="RecommenderStack in the same namespace.")
    kind: Kind = Field(Kind.FULL, description="Full: from nothing.")
    promote: Promote = Field(Promote.AUTO, description="Auto: serves when its gates pass.")
    recipe: Recipe = Field(default_factory=Recipe, description="What is trained; left out: the defaults.")


class StepStatus(ApiModel):
    """One training step."""

    name: str = Field(description="Step.")
    state: str = Field(description="Pending, Running, Succeeded or Failed.")
    job: str = Field("", description="Its Job.")
    message: str = Field("", description="Why it failed.")
    compute_seconds: float | None = Field(None, description="The step's own time, seconds.")
    wall_seconds: float | None = Field(None, description="From the Job's creation to its end, seconds.")


class Baseline(ApiModel):
    """What a candidate is compared with; both empty: no version was live."""

    version: str = Field("", description="Name of the version that was live.")
    package: str = Field("", description="Digest of its package, sha256:<hex>.")


class GateVerdict(ApiModel):
    """What became of one gate."""

    metric: str = Field(description="The gate's metric.")
    slice: str = Field("all", description="Whose.")
    value: float | None = Field(
        None,
        description="Measured: the metric; of a relative gate the ratio or difference to the live one's.",
    )
    bound: float | None = Field(None, description="Relative gates: lower confidence bound of the value.")
    threshold: float = Field(0, description="What the gate asks.")
    passed: bool = Field(description="Whether it is met.")
    reason: str = Field(
        "",
        description="Passed, BelowMin, AboveMax, NotShown (the bound does not clear the threshold), "
        "NotMeasured, TooFewRequests or NoLiveVersion (which passes).",
    )


class ModelVersionStatus(ApiModel):
    """How far it got."""

    observed_generation: int = Field(0, description="metadata.generation that this status speaks of.")
    phase: str = Field("", description="Derived from the conditions, for people only.")
    steps: list[StepStatus] = Field(default_factory=list, description="Training steps, in order.")
    package: str | None = Field(None, description="Digest of the package, sha256:<hex>.")
    metrics: dict[str, float] = Field(
        default_factory=dict,
        description="Held-out metrics by name; embeddings.<name>.*: what was encoded.",
    )
    baseline: Baseline | None = Field(
        None, description="What relative gates compare with, fixed before the evaluation's Job is created."
    )
    gates: list[GateVerdict] = Field(default_factory=list, description="Verdict of each gate, in order.")
    rolled_back: RolledBack | None = Field(None, description="Why it was taken back; left out: it was not.")
    conditions: list[Condition] = Field(default_factory=list, description="Conditions.")
