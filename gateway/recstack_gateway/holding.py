"""What this pod holds: the plan, the versions by name, and the one that answers."""

import logging
import time
from dataclasses import dataclass, field

from recstack_gateway import metrics
from recstack_gateway.plan import Plan
from recstack_gateway.version import State, Version

_LOG = logging.getLogger(__name__)


@dataclass
class Holding:
    """Shared by those who change it; all of them run in one event loop."""

    plan: Plan | None = None
    route: Version | None = None
    versions: dict[str, Version] = field(default_factory=dict)
    moved_at: float = float("-inf")
    """Monotonic time when another version was planned to answer, seconds."""

    def take(self, plan: Plan) -> None:
        """Go by ``plan`` from now on."""
        if self.plan is None or self.plan.live != plan.live:
            self.moved_at = time.monotonic()
        self.plan = plan

    def is_live(self, version: Version) -> bool:
        """Whether the plan wants it to answer."""
        return self.plan is not None and self.plan.live == version.planned.name

    def settle(self) -> None:
        """Answer with the plan's live version once it is proven here, until then as before."""
        live = self.versions.get(self.plan.live) if self.plan and self.plan.live else None
        if live is not None and live.yields:
            # What it gave way to answers in its place, as soon as it is proven.
            live = next((one for one in self.versions.values() if one.state is State.PROVEN), None)
        if live is None or live is self.route or live.state is not State.PROVEN:
            return
        before, self.route = self.route, live
        _LOG.info("%s answers", live.planned.name)
        metrics.LIVE.clear()
        metrics.LIVE.labels(live.planned.name).set(1)
        if before is not None:
            before.wake.set()
