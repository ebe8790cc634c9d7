"""How a reconcile ends decides when its object is looked at again."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fake_cluster import FakeCluster
from prometheus_client import REGISTRY
from recstack_controllers import kinds
from recstack_controllers.kit.cluster import ClusterError
from recstack_controllers.settings import Images, Outcome, Settings
from recstack_operator import workers
from recstack_operator.keys import Key
from recstack_operator.queue import WorkQueue
from recstack_operator.workers import Workers

KEY = Key(kinds.RECOMMENDER_STACK, "shop", "retail")
SETTINGS = Settings(Images("t", "s", "v", "f"), "IfNotPresent", "recstack-system")
Reconcile = Callable[..., Awaitable[Outcome]]


class Recorded(WorkQueue[Key]):
    """A queue that remembers what was put off."""

    def __init__(self) -> None:
        super().__init__(jitter=lambda: 0.5, rest=0)
        self.later: list[float] = []

    def add_after(self, key: Key, seconds: float) -> None:
        self.later.append(seconds)


async def work(monkeypatch: pytest.MonkeyPatch, *reconciles: Reconcile) -> Recorded:
    """Let one worker do ``reconciles``, one after the other."""
    queue = Recorded()
    rest = list(reconciles)

    async def next_one(*arguments: object) -> Outcome:
        try:
            return await rest.pop(0)(*arguments)
        finally:
            if not rest:
                queue.close()
            queue.add(KEY)

    monkeypatch.setitem(workers.RECONCILERS, KEY.kind.kind, next_one)
    queue.add(KEY)
    cluster = FakeCluster()
    await asyncio.wait_for(Workers(queue, cluster, cluster.clock, SETTINGS).work(), 5)
    return queue


async def soon(*_: object) -> Outcome:
    return Outcome(3.0)


async def settled(*_: object) -> Outcome:
    return Outcome(None)


async def away(*_: object) -> Outcome:
    raise ClusterError("away", 0, True)


async def conflict(*_: object) -> Outcome:
    raise ClusterError("changed meanwhile", 409, True)


async def defect(*_: object) -> Outcome:
    raise KeyError("oops")


def count(outcome: str) -> float:
    labels = {"kind": "RecommenderStack", "outcome": outcome}
    return REGISTRY.get_sample_value("recstack_reconciles_total", labels) or 0


async def test_it_is_looked_at_again_when_the_reconcile_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await work(monkeypatch, soon)).later == [3.0]


async def test_what_is_settled_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await work(monkeypatch, settled)).later == []


async def test_failures_are_tried_again_ever_later_until_one_goes_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = await work(monkeypatch, away, away, settled, away)
    assert queue.later == pytest.approx([0.2, 0.4, 0.2])


async def test_a_conflict_is_no_news(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = count("conflict")
    await work(monkeypatch, conflict)
    assert count("conflict") == before + 1
    assert caplog.records == []


async def test_a_defect_ends_no_worker_and_shows_where(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = count("defect"), count("ok")
    await work(monkeypatch, defect, settled)
    assert (count("defect"), count("ok")) == (before[0] + 1, before[1] + 1)
    assert "RecommenderStack shop/retail: a defect of the operator" in caplog.text
    assert "KeyError: 'oops'" in caplog.text


async def test_a_reconcile_that_hangs_makes_the_process_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, cluster, go_on = Recorded(), FakeCluster(), asyncio.Event()

    async def hang(*_: object) -> Outcome:
        await go_on.wait()
        return Outcome(None)

    monkeypatch.setitem(workers.RECONCILERS, KEY.kind.kind, hang)
    now = 1000.0
    monkeypatch.setattr("recstack_operator.workers.time.monotonic", lambda: now)
    under_test = Workers(queue, cluster, cluster.clock, SETTINGS)
    queue.add(KEY)
    task = asyncio.create_task(under_test.work())
    await asyncio.sleep(0)
    assert under_test.stuck() is None
    now += workers.SLOW + 1
    assert "RecommenderStack shop/retail" in (under_test.stuck() or "")
    go_on.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert under_test.stuck() is None
    queue.close()
    await task


async def test_two_workers_never_hold_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, cluster = Recorded(), FakeCluster()
    at_once, most, done = 0, 0, 0

    async def slow(*_: object) -> Outcome:
        nonlocal at_once, most, done
        at_once += 1
        most = max(most, at_once)
        queue.add(KEY)
        await asyncio.sleep(0)
        at_once -= 1
        done += 1
        if done == 5:
            queue.close()
        return Outcome(None)

    monkeypatch.setitem(workers.RECONCILERS, KEY.kind.kind, slow)
    under_test = Workers(queue, cluster, cluster.clock, SETTINGS)
    queue.add(KEY)
    await asyncio.wait_for(asyncio.gather(*(under_test.work() for _ in range(4))), 5)
    assert (most, done) == (1, 5)
