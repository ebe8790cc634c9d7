"""A version that has no room beside those that are loaded: what the plan's ``memory_fallback`` says."""

import logging
import time

from recstack_gateway.errors import NoRoom
from recstack_gateway.holding import Holding
from recstack_gateway.loader import Loader
from recstack_gateway.plan import Plan
from recstack_gateway.version import State, Version

_LOG = logging.getLogger(__name__)
REFUSE, RECREATE = "Refuse", "Recreate"
GOING_SECONDS = 30.0
"""A pod that is deleted is gone by then (its terminationGracePeriodSeconds)."""
GAVE_WAY = "it gave way to a version that has no room beside it"


class Room:
    """Who gives way to whom.

    ``surge``: that this pod was started for, see `Plan.surge`.
    """

    def __init__(self, holding: Holding, loader: Loader, surge: str) -> None:
        self._holding, self._loader, self._surge = holding, loader, surge

    def welcome(self, version: Version) -> None:
        """A version that was not here before: in a pod of a surge the live one is left out."""
        if self._surges() and self._holding.is_live(version):
            version.yields = version.left_out = True
            version.enter(State.NO_ROOM, GAVE_WAY)

    async def require(self, version: Version) -> None:
        """Of what is to come; the live version waits only for what was rolled back, or for a pod's end.

        Raises:
            NoRoom: there is none, and whoever is to give way was told.
            Unavailable: Triton is not there.
        """
        plan, live = self._holding.plan, self._holding.is_live(version)
        if plan is None:
            return
        lacking, others = await self._loader.shortage(version, self._holding.versions.values())
        leaving = [one for one in others if not one.wanted]
        if not lacking:
            return
        if live and self._may_be_going(version):
            raise NoRoom(lacking)
        if live and (plan.memory_fallback == REFUSE or not leaving):
            return
        if live:
            self._holding.route = None  # so that it is unloaded, too
            for one in leaving:
                one.wake.set()
        elif self.replaces() and version.planned.name not in plan.kept:
            for one in others:
                one.yields = True
                one.wake.set()
        raise NoRoom(lacking)

    def _may_be_going(self, live: Version) -> bool:
        """Whether this pod can be one of before, which answers with another version.

        ``live`` moves when all pods that stay hold it. One that is being deleted still answers for seconds:
        it may neither stop nor run out of memory.
        """
        plan, before = self._holding.plan, self._holding.route
        if plan is None or plan.memory_fallback == RECREATE or live.left_out:
            return False  # what a pod that stays once did without, for a version that is taken back now
        answers = before is not None and before is not live and before.state is State.PROVEN
        return answers and time.monotonic() < self._holding.moved_at + GOING_SECONDS

    def replaces(self) -> bool:
        """Whether a version without room takes the place of the others in this pod."""
        plan = self._holding.plan
        return plan is not None and (plan.memory_fallback == RECREATE or self._surges())

    def _surges(self) -> bool:
        plan = self._holding.plan
        return plan is not None and plan.surge == self._surge != ""

    async def give_way(self, version: Version) -> None:
        """Unload it, though it is planned: nobody answers until what takes its place is proven."""
        if version.state is State.NO_ROOM:
            return
        _LOG.warning("%s gives way to a version that has no room beside it", version.planned.name)
        if self._holding.route is version:
            self._holding.route = None
        version.enter(State.NO_ROOM, GAVE_WAY)
        await version.drained()
        await self._loader.unload_if_there(version)
        for one in self._holding.versions.values():
            one.wake.set()

    def review(self, plan: Plan) -> None:
        """Only the live version gives way beyond a plan, and only while there is one to give way to."""
        for name, one in self._holding.versions.items():
            if one.yields and name != plan.live:
                one.yields = False
        if not any(one.name != plan.live and one.name not in plan.kept for one in plan.versions):
            self.call_back()

    def call_back(self) -> None:
        """Load again what gave way to a version that does not serve in the end."""
        for one in self._holding.versions.values():
            if one.yields:
                one.yields = False
                one.enter(State.LOADING)
                one.wake.set()
