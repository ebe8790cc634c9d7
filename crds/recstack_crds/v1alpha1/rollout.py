"""``spec.rollout``: how a version takes over from the one that answers, and what is told of it."""

from enum import StrEnum

from pydantic import Field

from recstack_crds.v1alpha1.base import ApiModel, Fraction, Name, ShortDuration


class StrategyType(StrEnum):
    """How requests come to a version that every pod has proven."""

    IMMEDIATE = "Immediate"
    CANARY = "Canary"
    SHADOW = "Shadow"


class CanaryStep(ApiModel):
    """A share of requests, and how long it stays at least."""

    weight: int = Field(ge=1, le=100, description="Percent of people and of anonymous requests.")
    pause: ShortDuration = Field(
        "10m", description="How long at least; longer until rollout.soak is met. s, m, h or d."
    )


class Canary(ApiModel):
    """A growing share of people; a person stays with one version, and moves only once, to the new one."""

    steps: list[CanaryStep] = Field(
        default=[CanaryStep(weight=5), CanaryStep(weight=25), CanaryStep(weight=50)],
        min_length=1,
        max_length=16,
        description="Rising weights; after the last one the version answers everything.",
    )


class Shadow(ApiModel):
    """A share of requests is also asked of the new version; its replies are compared and never given."""

    fraction: float = Field(0.1, gt=0, le=1, description="Share of requests that are mirrored.")
    duration: ShortDuration = Field(
        "10m", description="How long at least; longer until rollout.soak is met. s, m, h or d."
    )
    min_overlap: Fraction | None = Field(
        None, description="Least mean share of items that both replies hold; below it rolls back."
    )


class Strategy(ApiModel):
    """How requests come to a version that every pod has proven."""

    type: StrategyType = Field(
        StrategyType.IMMEDIATE,
        description="Immediate: all at once. Canary: step by step. Shadow: mirrored, then all at once.",
    )
    canary: Canary | None = Field(None, description="Of type Canary; left out: its defaults.")
    shadow: Shadow | None = Field(None, description="Of type Shadow; left out: its defaults.")


class ClickThrough(ApiModel):
    """Clicks (events) for each reply of the new version against the old one, at the same time."""

    max_drop: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Relative drop that is put up with: 0.05 is 5 %. Once a larger one is shown, roll back.",
    )
    min_lift: float | None = Field(
        None, ge=0, le=10, description="Relative lift that must be shown before the last step ends."
    )
    event: str = Field("view", max_length=64, description="Type of the events that count as clicks.")


class Soak(ApiModel):
    """What the new version must keep to in each step and after it; else the old one answers again."""

    duration: ShortDuration = Field(
        "10m", description="How long it is watched after it has all requests. s, m, h or d."
    )
    min_requests: int = Field(
        100, ge=0, le=100_000_000, description="Requests that it must answer in each step before the next."
    )
    max_error_rate: Fraction | None = Field(None, description="Greatest share of failed requests.")
    max_error_increase: Fraction | None = Field(
        None, description="Greatest share of failed requests beyond the old version's."
    )
    max_latency_ratio: float | None = Field(
        None, ge=1, le=100, description="Greatest p99 latency relative to the old version's."
    )
    click_through: ClickThrough | None = Field(None, description="Of a Canary: clicks against the old one.")
    confidence: float = Field(
        0.95,
        ge=0.5,
        le=0.9999,
        description="Of the rollout as a whole: 1 - this bounds the chance to roll back a good version.",
    )


class MemoryFallback(StrEnum):
    """What happens to a version that does not fit into memory beside the one that answers."""

    REFUSE = "Refuse"
    RECREATE = "Recreate"
    SURGE = "Surge"


class Rollout(ApiModel):
    """How a version takes over."""

    strategy: Strategy = Field(default_factory=Strategy, description="How requests come to it.")
    soak: Soak | None = Field(None, description="Left out: nothing is watched, nothing rolled back.")
    memory_fallback: MemoryFallback = Field(
        MemoryFallback.REFUSE,
        description="When a version does not fit into memory beside the live one. Refuse: it is not loaded, "
        "and a condition tells the figures. Recreate: every pod unloads the live one first, and answers "
        "503 until the new one is proven there. Surge: pods are replaced one by one, one more than "
        "replicas at a time; a new pod loads the new version in the live one's place, and answers with it.",
    )
    history_limit: int = Field(3, ge=1, le=50, description="Superseded versions kept.")
    pin: Name | None = Field(
        None, description="ModelVersion that serves as long as this is set, also while suspended."
    )
    keep_loaded: int = Field(
        1,
        ge=0,
        le=3,
        description="Versions that were live and stay loaded, so that a pin acts at once; each costs its "
        "memory in every pod. A version on its way takes the place of one.",
    )


class RolledBack(ApiModel):
    """A version that was taken back by itself, or never let near a request."""

    version: str = Field(description="ModelVersion.")
    time: str = Field(description="When, RFC 3339.")
    reason: str = Field(
        description="ErrorRate, Latency, ClickThrough, LiftNotShown, Overlap or LatencyGateMissed."
    )
    message: str = Field(description="The figures.")
    latency_p50: float | None = Field(
        None, description="Of LatencyGateMissed: in the slowest pod, milliseconds."
    )
    latency_p99: float | None = Field(None, description="As latencyP50.")
    promoted: str = Field(
        "", description="Its annotation recstack.dev/promote then; another value tries it again."
    )


class VersionFigures(ApiModel):
    """What all pods counted of a version since the present step began."""

    requests: int = Field(0, description="Requests.")
    errors: int = Field(0, description="Of those, failed.")
    p99: float | None = Field(None, description="Latency that 99 % kept below, milliseconds.")
    replies: int = Field(0, description="Replies that showed items.")
    clicks: int = Field(0, description="Clicks on them.")


class RolloutStatus(ApiModel):
    """The latest rollout."""

    version: str = Field(description="ModelVersion that is to take over.")
    previous: str = Field("", description="ModelVersion that answered before.")
    phase: str = Field(description="Loading, Canary, Shadow, Soaking, Completed, RolledBack or Replaced.")
    step: int | None = Field(None, description="Step of the Canary, from 1.")
    steps: int | None = Field(None, description="Steps of the Canary.")
    weight: int = Field(0, description="Percent of requests that it answers.")
    since: str = Field(description="When this phase or step began, RFC 3339.")
    message: str = Field("", description="What it waits for, or how it ended.")
    observed: str | None = Field(None, description="When the figures were read, RFC 3339; every 30 s or so.")
    candidate: VersionFigures | None = Field(None, description="Figures of the version.")
    baseline: VersionFigures | None = Field(None, description="Figures of the one before it.")
