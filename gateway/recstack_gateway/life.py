"""A version's life in this pod, a step at a time: pulled, loaded, proven, checked, drained, unloaded.

Level-triggered: each look takes the next step from what is wanted and what is. An inference is the only proof
that a model works: Triton calls a model ready whose process has died.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from recstack_gateway.errors import Busy, NoRoom, Refused, Unavailable
from recstack_gateway.holding import Holding
from recstack_gateway.loader import Loader
from recstack_gateway.room import Room
from recstack_gateway.triton import InferenceFailed, Triton
from recstack_gateway.version import State, Version

_LOG = logging.getLogger(__name__)
CHECK_SECONDS = 1.0
RETRY_SECONDS = 0.5
ROOM_SECONDS = 5.0
STAGGER_SECONDS = 1.0
"""All pods hear of a plan at once; those of one node would load on the same processors at once."""
LATE_CHECKS = 5
"""So many checks in a row may be late before a model counts as hung; a busy machine is no broken one."""


class Life:
    """Leads every version through it; versions are brought up one at a time.

    ``draw``: in [0, 1), of the time that this pod waits before it loads beside a version that answers.
    """

    def __init__(
        self, holding: Holding, triton: Triton, loader: Loader, room: Room, draw: Callable[[], float]
    ) -> None:
        self._holding, self._triton, self._loader, self._room = holding, triton, loader, room
        self._draw = draw
        self._one_at_a_time = asyncio.Lock()

    async def keep(self, version: Version) -> None:
        """Hold ``version`` until it is not wanted any more and gone."""
        while True:
            version.wake.clear()
            if not version.wanted and version is not self._holding.route:
                if await self._retire(version):
                    return
                continue
            await self._pause(version, await self._step(version))

    async def _step(self, version: Version) -> float | None:
        """The next step; returns seconds until the next look, None: not before something changes."""
        if version.state is State.FAILED or version.yields:
            if version.yields:
                await self._room.give_way(version)
            return None
        try:
            if version.state is State.PROVEN and not version.reload:
                await self._check(version)
                return CHECK_SECONDS
            async with self._one_at_a_time:
                await self._bring_up(version)
            self._holding.settle()
            return CHECK_SECONDS
        except Refused as error:
            _LOG.error("%s cannot be served: %s", version.planned.name, error)
            version.enter(State.FAILED, str(error))
            if self._room.replaces():
                await self._loader.unload_if_there(version)
                self._room.call_back()
            self._holding.settle()
            return None
        except NoRoom as error:
            if version.state is not State.NO_ROOM:
                _LOG.error("%s is not loaded: %s", version.planned.name, error)
            version.enter(State.NO_ROOM, str(error))
            hurry = self._room.replaces() or self._holding.is_live(version)
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
        await self._room.require(version)
        version.enter(State.LOADING, version.message)
        if self._holding.route not in (None, version):
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
        plan = self._holding.plan
        wanted = plan is not None and version.planned.name in plan.measure
        return plan.serving.top_k if wanted and plan is not None else None

    async def _retire(self, version: Version) -> bool:
        """Drain and unload; False when it became wanted meanwhile."""
        if version.state is not State.FAILED:
            version.enter(State.DRAINING)
        await version.drained()
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
        plan = self._holding.plan
        version.statistics.forget()
        if plan is None or version.planned.name not in plan.drain:
            del self._holding.versions[version.planned.name]
        held = self._holding.versions.values()
        self._loader.keep({one.planned.digest for one in held if one.state is not State.UNLOADED})
