"""One version in this pod: what is planned, how far it is, what it is doing."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from recstack_triton_templates.render import ServingSettings, model_name

from recstack_gateway import metrics
from recstack_gateway.plan import PlannedVersion
from recstack_gateway.proof import Probe
from recstack_gateway.queue import Queue
from recstack_gateway.statistics import Statistics

DRAIN_SECONDS = 10.0


class State(StrEnum):
    """Of a version in this pod; the operator reads them."""

    PULLING = "Pulling"
    LOADING = "Loading"
    PROVING = "Proving"
    PROVEN = "Proven"
    FAILED = "Failed"
    NO_ROOM = "NoRoom"
    DRAINING = "Draining"
    UNLOADED = "Unloaded"


@dataclass(eq=False)
class Version:
    """One version in this pod."""

    planned: PlannedVersion
    state: State = State.PULLING
    message: str = ""
    wanted: bool = True
    probes: list[Probe] = field(default_factory=list)
    queue: Queue = field(default_factory=lambda: Queue(ServingSettings()))
    """Its settings come with its files."""
    requests: int = 0
    """Requests that it is answering now."""
    answered_at: float = float("-inf")
    """Monotonic time of its last good inference, seconds."""
    latency: dict[str, float] | None = None
    """Of requests one by one before anybody was answered, ms: p50, p99."""
    late: int = 0
    loads: int = 0
    """Loads since it last passed its proof."""
    reload: bool = False
    """Whether what Triton has loaded is broken or outdated."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while it answers no request."""
    yields: bool = False
    """Whether it gives way to one that has no room beside it."""
    left_out: bool = False
    """Whether this pod was started to hold another one in its place."""
    doubted: bool = False
    """Whether its last inference failed; where there is another version, that one answers meanwhile."""
    statistics: Statistics = field(init=False)

    def __post_init__(self) -> None:
        self.statistics = Statistics(self.planned.name)

    @property
    def proven_before(self) -> bool:
        """Whether it ever answered here."""
        return self.answered_at > float("-inf")

    @property
    def model(self) -> str:
        """Triton's name of it."""
        return model_name(self.planned.name)

    async def drained(self) -> None:
        """Return once it answers no request, after ``DRAIN_SECONDS`` at the latest."""
        if self.requests:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self.idle.wait()

    def enter(self, state: State, message: str = "") -> None:
        """Change the state, for the report and for Prometheus."""
        self.state, self.message = state, message
        for one in State:
            metrics.STATE.labels(self.planned.name, one.value).set(one is state)
