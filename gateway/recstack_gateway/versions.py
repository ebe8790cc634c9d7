"""The versions of this pod as the rest of the gateway sees them: what is planned, who answers.

Each has a task that leads it through its life, see `life`.
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from recstack_triton_templates.graph import split_name
from recstack_triton_templates.render import model_name

from recstack_gateway import routing
from recstack_gateway.errors import Busy, Unavailable
from recstack_gateway.holding import Holding
from recstack_gateway.life import RETRY_SECONDS, Life
from recstack_gateway.loader import Loader
from recstack_gateway.metrics import Waited
from recstack_gateway.plan import Plan, PlannedVersion
from recstack_gateway.room import Room
from recstack_gateway.triton import InferenceFailed, Triton
from recstack_gateway.version import State, Version

_LOG = logging.getLogger(__name__)
READY_SECONDS = 5.0


class Versions:
    """All of them, and the one that answers.

    Args:
        triton: beside this gateway.
        loader: into and out of that Triton.
        surge: that this pod was started for, see `Plan.surge`.
        draw: in [0, 1), of the time that this pod waits before it loads beside a version that answers.
    """

    def __init__(
        self, triton: Triton, loader: Loader, surge: str = "", draw: Callable[[], float] = random.random
    ) -> None:
        self._triton, self._loader = triton, loader
        self._holding = Holding()
        self._room = Room(self._holding, loader, surge)
        self._life = Life(self._holding, triton, loader, self._room, draw)
        self._tasks: set[asyncio.Task[None]] = set()
        self._epoch = ""
        self.broken = False
        """Whether a task ended by an error that nobody foresaw: this process must be started again."""

    @property
    def plan(self) -> Plan | None:
        """The last one that was taken."""
        return self._holding.plan

    @property
    def route(self) -> Version | None:
        """The version that answers whoever no other is chosen for."""
        return self._holding.route

    def take(self, plan: Plan) -> None:
        """Begin to do what ``plan`` says; the live version first."""
        if self._holding.plan is None:
            self._spawn(self._sweep())
        self._holding.take(plan)
        if plan.epoch != self._epoch:
            self._epoch = plan.epoch
            for version in self._holding.versions.values():
                version.statistics.begin(plan.epoch)
        ordered = sorted(plan.versions, key=lambda one: one.name != plan.live)
        for one in ordered:
            self._want(one)
        names = {one.name for one in ordered}
        for name, version in list(self._holding.versions.items()):
            if name in names:
                continue
            version.wanted = False
            version.wake.set()
            if version.state is State.UNLOADED and name not in plan.drain:
                del self._holding.versions[name]
        self._room.review(plan)
        self._holding.settle()

    def _want(self, planned: PlannedVersion) -> None:
        version = self._holding.versions.get(planned.name)
        if version is None or version.state is State.UNLOADED:
            self._holding.versions[planned.name] = version = Version(planned)
            version.statistics.begin(self._epoch)
            self._room.welcome(version)
            self._spawn(self._life.keep(version))
            return
        if version.planned.digest != planned.digest:
            version.reload, version.latency = True, None
            version.enter(State.PULLING)
        elif version.state is State.FAILED and version.planned != planned:
            version.enter(State.PULLING)
        version.planned, version.wanted = planned, True
        version.wake.set()

    def report(self) -> dict[str, dict[str, Any]]:
        """What ``GET /versions`` says."""
        return {
            name: {
                "state": one.state.value,
                "message": one.message,
                "digest": one.planned.digest,
                "latency": one.latency,
                "statistics": one.statistics.report(),
            }
            for name, one in self._holding.versions.items()
        }

    def choose(self, user: int | None) -> Version | None:
        """The version that answers this person, or this request of somebody unknown."""
        plan = self.plan
        if plan is None or not plan.routes:
            return self.route
        version = self.proven(routing.choose(plan.routes, user))
        return self.route if version is None or version.doubted else version

    def proven(self, name: str | None) -> Version | None:
        """The version of that name, if this pod can ask it now."""
        version = self._holding.versions.get(name) if name is not None else None
        return version if version is not None and version.state is State.PROVEN else None

    def clicked(self, name: str | None, user: int | None) -> None:
        """Somebody chose an item; ``name``: the version of the reply; left out: the person's own."""
        version = (
            self._holding.versions.get(name) if name else self.choose(user) if user is not None else None
        )
        if version is not None:
            version.statistics.clicked()

    def folder(self, version: Version) -> Path:
        """Where its package lies on disk."""
        return self._loader.folder(version)

    def ready(self) -> bool:
        """Whether the version that answers made a real inference lately."""
        return self.route is not None and time.monotonic() - self.route.answered_at < READY_SECONDS

    async def infer(self, version: Version, content: bytes) -> bytes:
        """One request, wholly by ``version``.

        Raises:
            Busy: too many requests wait.
            Unavailable: Triton or the model does not answer now; it is being mended.
        """
        version.requests += 1
        version.idle.clear()
        try:
            async with version.queue:
                reply = await self._triton.infer(version.model, content)
        except Busy:
            raise
        except (InferenceFailed, Unavailable) as error:
            # Whether the model is broken or only this request, a probe decides: no caller can cause a reload.
            version.doubted = True
            version.wake.set()
            raise Unavailable(f"{version.planned.name}: {error}") from error
        finally:
            version.requests -= 1
            if version.requests == 0:
                version.idle.set()
        version.answered_at = time.monotonic()
        return reply

    async def waited(self) -> dict[str, Waited]:
        """Requests and their wait by version; a request waits here, and before each model of its version."""
        try:
            models = await self._triton.waited()
        except Unavailable:
            return {}
        waits: dict[str, float] = defaultdict(float)
        for model, one in models.items():
            waits[split_name(model)[1]] += one.queue_seconds
        for name, version in self._holding.versions.items():
            waits[name] += version.queue.waited_seconds
        return {
            name: Waited(models[model_name(name)].requests, wait)
            for name, wait in waits.items()
            if model_name(name) in models
        }

    async def close(self) -> None:
        """Stop caring; Triton keeps what it has."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _LOG.critical("a version's task ended", exc_info=task.exception())
            self.broken = True

    async def _sweep(self) -> None:
        """Unload what an earlier gateway process left in this Triton and no plan wants."""
        while True:
            try:
                await self._loader.sweep(self._holding.versions)
                return
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
