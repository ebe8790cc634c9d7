"""ModelVersion: an immutable request for one trained bundle."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from recstack_crds.v1alpha1.base import ApiModel, Name
from recstack_crds.v1alpha1.data import Data
from recstack_crds.v1alpha1.features import Features
from recstack_crds.v1alpha1.models import Evaluation, Kind, Models, Training
from recstack_crds.v1alpha1.rollout import RolledBack
from recstack_crds.v1alpha1.status import Condition

Parent = Annotated[
    str,
    StringConstraints(pattern=r"^(sha256:[0-9a-f]{64}|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$", max_length=71),
]
"""A ModelVersion's name or a package's digest."""


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


FileName = Annotated[str, StringConstraints(pattern=r"^[^/]+(/[^/]+)*$", max_length=512)]
"""A day's file, as a path below the data source."""


class Days(ApiModel):
    """A row of days, both ends in it, by their files in order of name."""

    first: FileName = Field(description="File of the first day.")
    last: FileName = Field(description="File of the last day.")


class Findings(ApiModel):
    """What a look at the data found, beside the version that it compares with."""

    against: str = Field("", description="ModelVersion that it was compared with.")
    newest: str = Field(description="File of the newest day.")
    digest: str = Field(description="SHA-256 of that file, hex.")
    days: int = Field(description="Days that there are.")
    new_days: int = Field(0, description="Days after those that the version is made of.")
    fresh: Days | None = Field(None, description="Those days, for a fine-tune; absent: none.")
    window: Days | None = Field(
        None, description="The recipe's window, moved to end with the newest day; absent: too few days."
    )
    psi: dict[str, float] = Field(
        default_factory=dict,
        description="Population stability index of features, newest day against training; the 16 greatest.",
    )


class ModelVersionSpec(ApiModel):
    """Immutable."""

    stack: Name = Field(description="RecommenderStack in the same namespace.")
    kind: Kind = Field(
        Kind.FULL,
        description="Full: from nothing. FineTune: from its parent's models, on days newer than its; "
        "the item tower stays as it is, and with it the index.",
    )
    parent: Parent | None = Field(
        None, description="FineTune only: a ModelVersion of the stack, or a package as sha256:<hex>."
    )
    days: Days | None = Field(
        None,
        description="Full: the days that it is made of, the last evaluationDays of them held out; left out: "
        "recipe.data.window, from the first. FineTune: the new days; left out: all after the parent's.",
    )
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


class NotCompiled(ApiModel):
    """A feature's operator that NVTabular runs where the version is served."""

    feature: str = Field(description="Feature.")
    operator: str = Field(description="Its operator.")


class Baseline(ApiModel):
    """What a candidate is compared with; both empty: no version was live."""

    version: str = Field("", description="Name of the version that was live.")
    package: str = Field("", description="Digest of its package, sha256:<hex>.")


class ParentStatus(ApiModel):
    """What a FineTune goes on from."""

    version: str = Field("", description="ModelVersion; empty: spec.parent is a digest.")
    package: str = Field(description="Digest of its package, sha256:<hex>.")


class Skew(ApiModel):
    """How a behavioural feature as it was served differs from what the log says of that moment today."""

    feature: str = Field(description="Feature.")
    events: int = Field(description="Events of the training.")
    logged: int = Field(description="Of those, with a value that was logged at or before: it is trained on.")
    differs: float = Field(description="Share of those whose value is another than the derived one.")
    psi: float = Field(description="Population stability index of the logged values against the derived.")


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
    parent: ParentStatus | None = Field(
        None, description="The parent of a FineTune, fixed before its first Job is created."
    )
    window: Days | None = Field(None, description="Days that it is made of, as ingest found them.")
    skew: list[Skew] = Field(
        default_factory=list, description="Of a FineTune: behavioural features, logged against derived."
    )
    baseline: Baseline | None = Field(
        None, description="What relative gates compare with, fixed before the evaluation's Job is created."
    )
    gates: list[GateVerdict] = Field(default_factory=list, description="Verdict of each gate, in order.")
    rolled_back: RolledBack | None = Field(None, description="Why it was taken back; left out: it was not.")
    conditions: list[Condition] = Field(default_factory=list, description="Conditions.")
