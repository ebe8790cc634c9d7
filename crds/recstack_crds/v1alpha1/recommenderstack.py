"""RecommenderStack: a whole multistage recommender."""

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel
from recstack_crds.v1alpha1.data import Data
from recstack_crds.v1alpha1.events import Events
from recstack_crds.v1alpha1.features import Features
from recstack_crds.v1alpha1.models import Evaluation, Models, StackTraining
from recstack_crds.v1alpha1.modelversion import Findings
from recstack_crds.v1alpha1.platform import (
    Autoscaling,
    DeletionPolicy,
    Serving,
    Stores,
)
from recstack_crds.v1alpha1.rollout import RolledBack, Rollout, RolloutStatus
from recstack_crds.v1alpha1.status import Condition

MAX_HISTORY = 10
"""Entries of status.history."""
MAX_LEAVING = 20
"""Entries of status.leaving; more wait their turn."""


class RecommenderStackSpec(ApiModel):
    """Everything is defaulted: ``spec: {}`` is the retail reference on generated data."""

    data: Data = Field(default_factory=Data, description="Tables and columns.")
    features: Features = Field(default_factory=Features, description="Declared features.")
    models: Models = Field(default_factory=Models, description="Learned stages.")
    training: StackTraining = Field(default_factory=StackTraining, description="How versions are trained.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="Gates.")
    stores: Stores = Field(default_factory=Stores, description="Valkey and artifacts.")
    serving: Serving = Field(default_factory=Serving, description="The pods that answer.")
    events: Events = Field(default_factory=Events, description="What is made of what people do.")
    rollout: Rollout = Field(default_factory=Rollout, description="How a version takes over.")
    autoscaling: Autoscaling | None = Field(None, description="Left out: no HPA.")
    suspend: bool = Field(False, description="True: nothing new is started; serving goes on.")
    deletion_policy: DeletionPolicy = Field(
        DeletionPolicy.DELETE,
        description="Delete: packages and Valkey data go with the stack. Retain: they stay.",
    )


class LiveVersion(ApiModel):
    """One version that answered."""

    version: str = Field(description="ModelVersion.")
    since: str = Field(description="When it began to answer, RFC 3339.")


class ScheduleStatus(ApiModel):
    """One schedule; a run is due at its next time, and a later cron counts from when it was first seen."""

    name: str = Field(description="Schedule.")
    cron: str = Field(description="Cron and time zone that the times are of.")
    last_scheduled_time: str | None = Field(None, description="Time that its newest run was due, RFC 3339.")
    last_version: str | None = Field(None, description="ModelVersion of that run.")
    next_scheduled_time: str | None = Field(None, description="Earliest time not run yet, RFC 3339.")


class FeastStatus(ApiModel):
    """The feature store."""

    applied_digest: str = Field("", description="Repository and version that were applied last.")
    applied_version: str = Field("", description="ModelVersion whose features those are.")
    runs: int = Field(0, description="Times that a repository was applied.")
    materialized_at: str | None = Field(
        None, description="When rows were last brought to the online store, RFC 3339."
    )


class CheckStatus(ApiModel):
    """The look at the data that spec.training.triggers ask for, and what the last one found."""

    job: str | None = Field(None, description="Its Job while one is under way.")
    time: str | None = Field(None, description="When the newest look was due, RFC 3339.")
    next_time: str | None = Field(None, description="When the next one is due, RFC 3339.")
    against: str | None = Field(None, description="ModelVersion that the newest look compares with.")
    message: str = Field("", description="Why the newest look found nothing out; empty: it did.")
    found: Findings | None = Field(None, description="What the last one that succeeded found.")


class Leaving(ApiModel):
    """A version beyond the history limit whose files are still there."""

    version: str = Field(description="ModelVersion; deleted.")
    package: str | None = Field(None, description="Digest of its package, sha256:<hex>.")


class RecommenderStackStatus(ApiModel):
    """What the operator last saw."""

    observed_generation: int = Field(0, description="metadata.generation that this status speaks of.")
    phase: str = Field("", description="Derived from the conditions, for people only.")
    live_version: str | None = Field(None, description="ModelVersion that answers.")
    candidate_version: str | None = Field(None, description="ModelVersion on its way.")
    history: list[LiveVersion] = Field(
        default_factory=list, max_length=MAX_HISTORY, description="Versions that were live, the newest first."
    )
    rollout: RolloutStatus | None = Field(None, description="The latest rollout that took more than a flip.")
    rolled_back: list[RolledBack] = Field(
        default_factory=list, max_length=MAX_HISTORY, description="Versions taken back, the newest first."
    )
    ready_replicas: int = Field(0, description="Serving pods that are ready.")
    replicas: int = Field(0, description="Serving pods wanted.")
    endpoint: str | None = Field(None, description="Address of the gateway inside the cluster.")
    check: CheckStatus | None = Field(None, description="The look at the data; absent without triggers.")
    leaving: list[Leaving] = Field(
        default_factory=list,
        max_length=MAX_LEAVING,
        description="Versions beyond the history limit whose packages and intermediate files are deleted.",
    )
    schedules: list[ScheduleStatus] = Field(default_factory=list, description="Schedules.")
    feast: FeastStatus | None = Field(None, description="Feature store, when one is declared.")
    conditions: list[Condition] = Field(default_factory=list, description="Conditions.")
