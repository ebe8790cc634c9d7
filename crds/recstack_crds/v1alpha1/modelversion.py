"""ModelVersion: an immutable request for one trained bundle."""

from enum import StrEnum

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel, Name
from recstack_crds.v1alpha1.data import Data
from recstack_crds.v1alpha1.features import Features
from recstack_crds.v1alpha1.models import Evaluation, Kind, Models, Training
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


class ModelVersionStatus(ApiModel):
    """How far it got."""

    observed_generation: int = Field(0, description="metadata.generation that this status speaks of.")
    phase: str = Field("", description="Derived from the conditions, for people only.")
    steps: list[StepStatus] = Field(default_factory=list, description="Training steps, in order.")
    package: str | None = Field(None, description="Digest of the package, sha256:<hex>.")
    metrics: dict[str, float] = Field(default_factory=dict, description="Held-out metrics by name.")
    conditions: list[Condition] = Field(default_factory=list, description="Conditions.")
