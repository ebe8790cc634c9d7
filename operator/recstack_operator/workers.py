"""Takes keys off the queue, reconciles, and decides when to look again."""

import logging
import time
from collections.abc import Awaitable, Callable

from recstack_controllers import kinds, modelversion, recommenderstack
from recstack_controllers.kit.clock import Clock
from recstack_controllers.kit.cluster import Cluster, ClusterError
from recstack_controllers.settings import Outcome, Settings

from recstack_operator.keys import Key
from recstack_operator.metrics import RECONCILE_SECONDS, RECONCILES
from recstack_operator.queue import Closed, WorkQueue

LOG = logging.getLogger(__name__)
CONFLICT = 409
SLOW = 120.0
"""Seconds; a reconcile makes a few dozen short requests, so one that takes longer is stuck."""

Reconcile = Callable[[Cluster, Clock, Settings, str, str], Awaitable[Outcome]]
RECONCILERS: dict[str, Reconcile] = {
    kinds.RECOMMENDER_STACK.kind: recommenderstack.reconcile,
    kinds.MODEL_VERSION.kind: modelversion.reconcile,
}


class Workers:
    """What every worker shares."""

    def __init__(self, queue: WorkQueue[Key], cluster: Cluster, clock: Clock, settings: Settings) -> None:
        self._queue, self._cluster, self._clock, self._settings = queue, cluster, clock, settings
        self._begun: dict[Key, float] = {}

    def stuck(self) -> str | None:
        """Why the workers are thought stuck; None: they move."""
        now = time.monotonic()
        slow = [key for key, since in self._begun.items() if now - since > SLOW]
        return f"the reconcile of {slow[0]} takes more than {SLOW:.0f} s" if slow else None

    async def work(self) -> None:
        """One worker: until the queue is closed."""
        while True:
            try:
                key = await self._queue.take()
            except Closed:
                return
            begun = time.monotonic()
            self._begun[key] = begun
            try:
                outcome = await self._reconcile(key)
            finally:
                del self._begun[key]
                self._queue.done(key)
                RECONCILE_SECONDS.labels(key.kind.kind).observe(time.monotonic() - begun)
            RECONCILES.labels(key.kind.kind, outcome).inc()

    async def _reconcile(self, key: Key) -> str:
        """Reconcile and have it looked at again; gives how it ended."""
        try:
            outcome = await RECONCILERS[key.kind.kind](
                self._cluster, self._clock, self._settings, key.namespace, key.name
            )
        except ClusterError as error:
            delay = self._queue.add_failed(key)
            if error.status == CONFLICT:
                return "conflict"
            LOG.warning("%s: %s; again in %.1f s", key, error, delay)
            return "api_error"
        except Exception:
            delay = self._queue.add_failed(key)
            LOG.exception("%s: a defect of the operator; again in %.1f s", key, delay)
            return "defect"
        self._queue.succeeded(key)
        if outcome.requeue_after is not None:
            self._queue.add_after(key, outcome.requeue_after)
        return "ok"
