"""The versions that this pod holds, each brought to where the plan wants it.

One task a version, level-triggered: it looks at what is wanted and at what is, takes the next step, and looks
again when something changes or after a pause. An inference is the only proof that a model works: Triton calls
a model ready whose process has died.
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from recstack_triton_templates.graph import split_name
from recstack_triton_templates.render import model_name

from recstack_gateway import metrics, routing
from recstack_gateway.errors import Busy, NoRoom, Refused, Unavailable
from recstack_gateway.loader import Loader
from recstack_gateway.metrics import Waited
from recstack_gateway.plan import Plan, PlannedVersion
from recstack_gateway.triton import InferenceFailed, Triton
from recstack_gateway.version import State, Version

_LOG = logging.getLogger(__name__)
CHECK_SECONDS = 1.0
RETRY_SECONDS = 0.5
ROOM_SECONDS = 5.0
REFUSE, RECREATE = "Refuse", "Recreate"
GAVE_WAY = "it gave way to a version that has no room beside it"
READY_SECONDS = 5.0
DRAIN_SECONDS = 10.0
STAGGER_SECONDS = 1.0
"""All pods hear of a plan at once; those of one node would load on the same processors at once."""
LATE_CHECKS = 5
"""So many checks in a row may be late before a model counts as hung; a busy machine is no broken one."""


class Versions:
    """All of them, and the one that answers.

    Args:
        triton: beside this gateway.
        read_repository: files of the ConfigMap named in a plan.
        models: folder shared with Triton.
        surge: that this pod was started for, see `Plan.surge`.
        draw: in [0, 1), of the time that this pod waits before it loads beside a version that answers.
        nvtabular: whether operators that are not compiled can be run here.
    """

    def __init__(
        self,
        triton: Triton,
        read_repository: Callable[[str], Awaitable[dict[str, str]]],
        models: Path,
        surge: str = "",
        draw: Callable[[], float] = random.random,
        *,
        nvtabular: bool = False,
    ) -> None:
        self._surge, self._draw = surge, draw
        self._triton, self._loader = triton, Loader(triton, read_repository, models, nvtabular=nvtabular)
        self._held: dict[str, Version] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._epoch = ""
        self.plan: Plan | None = None
        self.route: Version | None = None
        self.broken = False
        """Whether a task ended by an error that nobody foresaw: this process must be started again."""

    def take(self, plan: Plan) -> None:
        """Begin to do what ``plan`` says; the live version first."""
        if self.plan is None:
            self._spawn(self._sweep())
        self.plan = plan
        if plan.epoch != self._epoch:
            self._epoch = plan.epoch
            for version in self._held.values():
                version.statistics.begin(plan.epoch)
        ordered = sorted(plan.versions, key=lambda one: one.name != plan.live)
        for one in ordered:
            self._want(one)
        names = {one.name for one in ordered}
        for name, version in list(self._held.items()):
            if name in names:
                continue
            version.wanted = False
            version.wake.set()
            if version.state is State.UNLOADED and name not in plan.drain:
                del self._held[name]
        self._review_yields(plan)
        self._settle()

    def _want(self, planned: PlannedVersion) -> None:
        version = self._held.get(planned.name)
        if version is None or version.state is State.UNLOADED:
            self._held[planned.name] = version = Version(planned)
            version.statistics.begin(self._epoch)
            if self._surges() and self.plan is not None and planned.name == self.plan.live:
                version.yields = True
                version.enter(State.NO_ROOM, GAVE_WAY)
            self._spawn(self._keep(version))
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
            for name, one in self._held.items()
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
        version = self._held.get(name) if name is not None else None
        return version if version is not None and version.state is State.PROVEN else None

    def clicked(self, name: str | None, user: int | None) -> None:
        """Somebody chose an item; ``name``: the version of the reply; left out: the person's own."""
        version = self._held.get(name) if name else self.choose(user) if user is not None else None
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
        for name, version in self._held.items():
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

    async def _keep(self, version: Version) -> None:
        """Hold ``version`` until it is not wanted any more and gone."""
        while True:
            version.wake.clear()
            if not version.wanted and version is not self.route:
                if await self._retire(version):
                    return
                continue
            await self._pause(version, await self._step(version))

    async def _step(self, version: Version) -> float | None:
        """The next step; returns seconds until the next look, None: not before something changes."""
        if version.state is State.FAILED or version.yields:
            if version.yields:
                await self._give_way(version)
            return None
        try:
            if version.state is State.PROVEN and not version.reload:
                await self._check(version)
                return CHECK_SECONDS
            async with self._one_at_a_time:
                await self._bring_up(version)
            self._settle()
            return CHECK_SECONDS
        except Refused as error:
            _LOG.error("%s cannot be served: %s", version.planned.name, error)
            version.enter(State.FAILED, str(error))
            if self._replaces():
                await self._loader.unload_if_there(version)
                self._call_back()
            self._settle()
            return None
        except NoRoom as error:
            if version.state is not State.NO_ROOM:
                _LOG.error("%s is not loaded: %s", version.planned.name, error)
            version.enter(State.NO_ROOM, str(error))
            hurry = self._replaces() or (self.plan is not None and self.plan.live == version.planned.name)
            return RETRY_SECONDS if hurry else ROOM_SECONDS
        except Unavailable as error:
            version.message = str(error)
            return RETRY_SECONDS

    @staticmethod
    async def _pause(version: Version, seconds: float | None) -> None:
        # Not wait_for: of Python 3.11 it may swallow a cancellation, and this task would never end.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await version.wake.wait()

    async def _check(self, version: Version) -> None:
        """A real inference; one that fails sends the version back to loading."""
        try:
            async with version.queue:
                await self._triton.infer(version.model, version.probes[0].request())
        except Busy:
            # If nobody works the queue off, the pod is soon not ready, callers stay away, a check gets in.
            return
        except InferenceFailed as error:
            version.late += 1
            if error.late and version.late < LATE_CHECKS:
                return  # still proven: it may only be slow
            _LOG.error("%s stopped answering, it is loaded again: %s", version.planned.name, error)
            version.reload = True
            version.enter(State.LOADING, str(error))
            version.wake.set()
        except Unavailable as error:
            # A new Triton has nothing loaded; one that only was away answers the proof, and is not reloaded.
            _LOG.error("%s: %s", version.planned.name, error)
            version.enter(State.LOADING, str(error))
        else:
            version.late, version.doubted = 0, False
            version.answered_at = time.monotonic()

    async def _bring_up(self, version: Version) -> None:
        planned = version.planned
        if version.state not in {State.LOADING, State.NO_ROOM}:
            version.enter(State.PULLING)
        await self._loader.fetch(version)
        await self._require_room(version)
        version.enter(State.LOADING, version.message)
        if self.route not in (None, version):
            await asyncio.sleep(self._draw() * STAGGER_SECONDS)
        await self._loader.load(version)
        version.enter(State.PROVING)
        await self._loader.prove(version, self._measured(version))
        if version.planned == planned:
            version.enter(State.PROVEN, "proven by a real inference")
            version.answered_at = time.monotonic()
            _LOG.info("%s is proven", planned.name)

    def _measured(self, version: Version) -> int | None:
        """How many items its latency is measured with, if a gate asks for it."""
        plan = self.plan
        wanted = plan is not None and version.planned.name in plan.measure
        return plan.serving.top_k if wanted and plan is not None else None

    async def _require_room(self, version: Version) -> None:
        """Of what is to come; the live version waits for none but those that were rolled back."""
        if self.plan is None:
            return
        lacking, others = await self._loader.shortage(version, self._held.values())
        live = self.plan.live == version.planned.name
        leaving = [one for one in others if not one.wanted]
        if not lacking or (live and (self.plan.memory_fallback == REFUSE or not leaving)):
            return
        if live:
            self.route = None  # so that it is unloaded, too
            for one in leaving:
                one.wake.set()
        elif self._replaces() and version.planned.name not in self.plan.kept:
            for one in others:
                one.yields = True
                one.wake.set()
        raise NoRoom(lacking)

    def _replaces(self) -> bool:
        """Whether a version without room takes the place of the others in this pod."""
        return self.plan is not None and (self.plan.memory_fallback == RECREATE or self._surges())

    def _surges(self) -> bool:
        return self.plan is not None and self.plan.surge == self._surge != ""

    async def _give_way(self, version: Version) -> None:
        """Unload it, though it is planned: nobody answers until what takes its place is proven."""
        if version.state is State.NO_ROOM:
            return
        _LOG.warning("%s gives way to a version that has no room beside it", version.planned.name)
        if self.route is version:
            self.route = None
        version.enter(State.NO_ROOM, GAVE_WAY)
        if version.requests:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await version.idle.wait()
        await self._loader.unload_if_there(version)
        for one in self._held.values():
            one.wake.set()

    def _review_yields(self, plan: Plan) -> None:
        """Only the live version gives way beyond a plan, and only while there is one to give way to."""
        for name, one in self._held.items():
            if one.yields and name != plan.live:
                one.yields = False
        if not any(one.name != plan.live and one.name not in plan.kept for one in plan.versions):
            self._call_back()

    def _call_back(self) -> None:
        """Load again what gave way to a version that does not serve in the end."""
        for one in self._held.values():
            if one.yields:
                one.yields = False
                one.enter(State.LOADING)
                one.wake.set()

    async def _retire(self, version: Version) -> bool:
        """Drain and unload; False when it became wanted meanwhile."""
        if version.state is not State.FAILED:
            version.enter(State.DRAINING)
        if version.requests:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await version.idle.wait()
        await asyncio.sleep(self._draw() * STAGGER_SECONDS)
        if version.wanted:
            return self._wanted_again(version)
        while True:
            try:
                await self._loader.unload(version)
                break
            except Unavailable:  # nothing is loaded in a Triton that is not there; but it may come back
                await asyncio.sleep(RETRY_SECONDS)
        if version.wanted:
            return self._wanted_again(version)
        version.enter(State.UNLOADED)
        self._forget(version)
        return True

    @staticmethod
    def _wanted_again(version: Version) -> bool:
        version.enter(State.LOADING)
        version.wake.set()
        return False

    def _forget(self, version: Version) -> None:
        """Versions that the plan names in ``drain`` stay in the report, as the operator waits for them."""
        plan = self.plan
        version.statistics.forget()
        if plan is None or version.planned.name not in plan.drain:
            del self._held[version.planned.name]
        needed = {one.planned.digest for one in self._held.values() if one.state is not State.UNLOADED}
        self._loader.keep(needed)

    def _settle(self) -> None:
        """Answer with the plan's live version once it is proven here, until then as before."""
        live = self._held.get(self.plan.live) if self.plan and self.plan.live else None
        if live is not None and live.yields:
            # What it gave way to answers in its place, as soon as it is proven.
            live = next((one for one in self._held.values() if one.state is State.PROVEN), None)
        if live is None or live is self.route or live.state is not State.PROVEN:
            return
        before, self.route = self.route, live
        _LOG.info("%s answers", live.planned.name)
        metrics.LIVE.clear()
        metrics.LIVE.labels(live.planned.name).set(1)
        if before is not None:
            before.wake.set()

    async def _sweep(self) -> None:
        """Unload what an earlier gateway process left in this Triton and no plan wants."""
        while True:
            try:
                await self._loader.sweep(self._held)
                return
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
