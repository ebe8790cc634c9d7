"""The serving plan, as the operator writes it (docs/spec/serving.md)."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


class _Part(BaseModel):
    # A newer operator may say more than this gateway knows.
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class PlannedVersion(_Part):
    """A version that this pod must hold."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    repo: str
    artifacts: str


class SeenFilter(_Part):
    """``serving.seenFilter``."""

    enabled: bool
    ttl_seconds: int
    capacity: int
    error_rate: float


class Serving(_Part):
    """What of ``spec.serving`` concerns the gateway."""

    top_k: int
    candidates: int
    seen_filter: SeenFilter


class Route(_Part):
    """A share of people and of anonymous requests, percent, that ``version`` answers."""

    version: str
    weight: int = Field(ge=0, le=100)


class Mirror(_Part):
    """A share of requests, 0 to 1, that ``version`` answers too, for nobody."""

    version: str
    fraction: float


class Behaviour(_Part):
    """Columns of users that follow from what they did, in the feature store.

    ``derived``: item column by user column; ``columns``: all of the users' view; ``ttl_seconds`` 0: for ever.
    """

    project: str
    join_key: str
    columns: tuple[str, ...]
    derived: dict[str, str]
    window_seconds: int
    ttl_seconds: int


class Events(_Part):
    """What is made of events. ``types``: weights; ``trending_by``: columns of items."""

    types: dict[str, float]
    trending_half_life_seconds: float
    trending_by: tuple[str, ...]
    recent_items: int
    retention_seconds: int
    behaviour: Behaviour | None = None
    """None: there is no feature store, or nothing to derive."""

    def weight(self, type_: str) -> float:
        """Of a type of event; one that nobody named counts like a view by default."""
        return self.types.get(type_, 1.0)


class Plan(_Part):
    """``live`` answers what no route takes; ``versions`` are held; ``drain`` are on their way out.

    With another ``epoch`` the counts of all versions begin anew; ``click_event``: events that are clicks.
    ``events`` None: nobody works them off.
    """

    generation: int
    live: str | None
    versions: tuple[PlannedVersion, ...]
    drain: tuple[str, ...]
    serving: Serving
    kept: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    mirror: Mirror | None = None
    epoch: str = ""
    click_event: str = "view"
    events: Events | None = None
    measure: tuple[str, ...] = ()
    """Versions that have a gate on latency."""
    memory_fallback: str = "Refuse"
    """Recreate: a version without room takes the place of the others, which are unloaded first."""
    surge: str = ""
    """Pods that were started for it hold the version that is to come in the live one's place."""


def parse(content: str | bytes) -> Plan:
    """Plan in JSON.

    Raises:
        ValueError: not a plan.
    """
    try:
        return Plan.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"the serving plan is unreadable: {place or 'JSON'}: {first['msg']}") from error
