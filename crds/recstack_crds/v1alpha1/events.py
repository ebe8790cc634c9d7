"""``spec.events``: what is made of what people do."""

from typing import Annotated

from pydantic import Field, StringConstraints

from recstack_crds.v1alpha1.base import ApiModel, Duration, Quantity

EventName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]+$", max_length=64)]


class EventType(ApiModel):
    """What one kind of event weighs."""

    name: EventName = Field(description="As events say it, in `type`.")
    weight: float = Field(
        ge=0,
        le=1_000_000,
        description="What it counts in trending; 0: nothing, nor in what follows from behaviour.",
    )


def _default_types() -> list[EventType]:
    weights = {"view": 1.0, "cart": 5.0, "purchase": 10.0}
    return [EventType(name=name, weight=weight) for name, weight in weights.items()]


class Events(ApiModel):
    """Events are worked off by a pod of their own, `<stack>-events`; `spec: {}` has it on."""

    enabled: bool = Field(
        True, description="False: no such pod; events mark items as seen and do nothing else."
    )
    types: list[EventType] = Field(
        default_factory=_default_types, max_length=64, description="Weights; any other type counts 1."
    )
    trending_half_life: Duration = Field(
        "24h", description="After this long an event counts half as much in trending."
    )
    recent_items: int = Field(100, ge=1, le=1000, description="Items kept of each user, the latest.")
    behaviour_window: Duration = Field(
        "24h",
        description="With a feature store: user features with mostFrequent follow the user's events of this "
        "long, counted back from the newest.",
    )
    retention: Duration = Field(
        "30d",
        description="How long recent items are kept of a user who does nothing, and what could not be "
        "worked off.",
    )
    cpu: Quantity = Field("50m", description="CPU request of the pod.")
    memory: Quantity = Field("512Mi", description="Memory limit of the pod; it holds columns of the catalog.")
