"""The random interleavings of controllers once more, read from watches that sometimes tell late."""

import copy

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import rule
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Cluster, ClusterError
from recstack_operator.keys import WATCHED
from recstack_operator.remembered import Remembered
from world import STACK

from tests.unit.controllers.test_machine import SETTINGS, Stack
from tests.unit.controllers.test_pin import spec, trained


class Late(Stack):
    """Watches tell of everything before a pass, but for those of ``passes_come_too_early``."""

    def __init__(self) -> None:
        super().__init__()
        self.late = False
        self.world.through = self.reads
        self.starts()

    def starts(self) -> None:
        """A new process, which is told of all that there is."""
        self.seen = Remembered(self.world.cluster)
        self.told = dict(self.world.cluster.objects)
        self.watches_tell()
        self.seen.complete = True

    def watches_tell(self) -> None:
        """Of everything that changed."""
        there = copy.deepcopy(self.world.cluster.objects)
        for kind in WATCHED:
            for who, last in self.told.items():
                if who[0] == kind.kind and who not in there:
                    version = {"resourceVersion": str(self.world.cluster.version)}
                    self.seen.told(kind, last | {"metadata": last["metadata"] | version}, True)
            for who, found in there.items():
                if who[0] == kind.kind:
                    self.seen.told(kind, found, False)
        self.told = there

    def reads(self) -> Cluster:
        if not self.late:
            self.watches_tell()
        return self.seen

    @rule(others=st.integers(0, 4))
    def passes_come_too_early(self, others: int) -> None:
        """What they read is of before another process led for some passes; a write over it is refused."""
        self.world.through = None
        for _ in range(others):
            self.world.finish_jobs()
            self.world.serve()
            self.run(self.world.round, None)
        self.world.through, self.late = self.reads, True
        try:
            self.run(self.world.round, None)
        except ClusterError as error:
            assert error.status == 409  # noqa: PT017
        finally:
            self.late = False

    @rule()
    def the_operator_starts_again(self) -> None:
        self.starts()


async def test_an_old_plan_is_not_written_back_for_its_labels() -> None:
    """As another release does, whose rendering differs though the plan's content does not."""
    world, (old, new) = await trained(1, 2)
    seen = Remembered(world.cluster)
    for kind in WATCHED:
        for found in copy.deepcopy(world.cluster.all(kind.kind)):
            if found["metadata"]["name"] == names.plan(STACK):
                found["metadata"]["annotations"][names.RENDERED] = "by another release"
            seen.told(kind, found, False)
    seen.complete = True
    world.edit(spec(2, pin=old))
    await world.stack()
    assert world.plan.live == old
    world.through = lambda: seen
    with pytest.raises(ClusterError) as refused:
        await world.stack()
    assert refused.value.status == 409
    assert world.plan.live == old != new


TestLate = Late.TestCase
TestLate.settings = SETTINGS
