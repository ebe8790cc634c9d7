"""spec.training.triggers: when the data is looked at, and which versions follow."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from fake_cluster import Cut
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from recstack_controllers.kit import names
from recstack_controllers.kit.clock import parse, rfc3339
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.modelversion.results import JobReport, JobState, StepResult
from recstack_controllers.recommenderstack import triggers
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources import modelversion
from recstack_controllers.resources.stack import Stack
from recstack_crds.v1alpha1 import RecommenderStackSpec
from recstack_crds.v1alpha1.modelversion import Days, Findings
from recstack_crds.v1alpha1.recommenderstack import CheckStatus
from world import SETTINGS, SPACE, STACK, World

NEW_DATA = {"newData": {"every": "15m", "kind": "FineTune"}}
DRIFT = {"drift": {"every": "15m", "threshold": 0.2, "kind": "Full"}}


def spec(*found: Manifest, **training: Any) -> Manifest:
    merged: Manifest = {}
    for one in found:
        merged |= one
    return {"training": {"triggers": merged} | training}


def sees(newest: int, **psi: float) -> Findings:
    """A look that finds days 0 to ``newest``; the live version is made of 0 to 11."""
    fresh = Days(first="day_12.parquet", last=f"day_{newest}.parquet") if newest > 11 else None
    return Findings(
        newest=f"day_{newest}.parquet", digest="0" * 64, days=newest + 1, new_days=max(0, newest - 11),
        fresh=fresh, window=Days(first=f"day_{newest - 11:02}.parquet", last=f"day_{newest}.parquet"),
        psi=psi,
    )  # fmt: skip


async def watched(given: Manifest, found: Findings) -> World:
    world = World(given, found=found)
    await world.settle()
    return world


def status(world: World) -> Manifest:
    found: Manifest = world.cluster.find("RecommenderStack", STACK)["status"]["check"]
    return found


def checks(world: World) -> list[str]:
    return [
        one["metadata"]["name"] for one in world.cluster.all("Job") if "-check-" in one["metadata"]["name"]
    ]


def caused(world: World) -> dict[str, Manifest]:
    """Spec of each version that a trigger made, by its cause."""
    return {
        cause: one["spec"]
        for one in world.cluster.all("ModelVersion")
        if (cause := one["metadata"].get("annotations", {}).get(names.CAUSE))
    }


async def test_without_triggers_nothing_is_looked_at() -> None:
    world = await watched({}, sees(13))
    assert checks(world) == []
    assert world.condition("Watched") == {}


async def test_a_new_day_is_fine_tuned_once() -> None:
    world = World(spec(NEW_DATA), found=sees(13))
    await world.settle()
    first = next(name for name in world.versions() if not caused(world) or name != world.plan.live)
    made = caused(world)["newData/day_13.parquet"]
    assert made["kind"] == "FineTune"
    assert made["parent"] == first
    assert made["days"] == {"first": "day_12.parquet", "last": "day_13.parquet"}
    for _ in range(5):
        world.cluster.clock.forward(15 * 60)
        await world.settle()
    assert list(caused(world)) == ["newData/day_13.parquet"]
    assert status(world)["found"]["newest"] == "day_13.parquet"
    world.found = sees(14)
    world.cluster.clock.forward(15 * 60)
    await world.settle()
    assert len(caused(world)) == 2


async def test_no_newer_day_makes_no_version() -> None:
    world = await watched(spec(NEW_DATA), sees(11))
    assert caused(world) == {}
    assert world.condition("Watched")["reason"] == "Watched"
    assert "day_11.parquet" in world.condition("Watched")["message"]
    assert await world.round() == 0


async def test_drift_makes_a_full_one_of_the_moved_window_and_no_fine_tune() -> None:
    world = await watched(spec(NEW_DATA, DRIFT), sees(13, age=0.4, gender=0.1))
    (cause,) = caused(world)
    assert cause == "drift/day_13.parquet"
    made = caused(world)[cause]
    assert (made["kind"], made.get("parent")) == ("Full", None)
    assert made["days"] == {"first": "day_02.parquet", "last": "day_13.parquet"}


@pytest.mark.parametrize("psi", [(0.4, 0.1), (0.1, 0.4)])
def test_a_day_that_is_written_over_makes_no_second_version(psi: tuple[float, float]) -> None:
    given = RecommenderStackSpec.model_validate(spec(NEW_DATA, DRIFT))
    stack, now = Stack(SPACE, STACK, "uid", given, SETTINGS), "2026-03-01T00:00:00Z"
    window = Days(first="day_00.parquet", last="day_11.parquet")
    live = Known(modelversion.name(stack), now, True, True, "x", {}, window=window)

    def made(age: float, *known: Known) -> list[triggers.Run]:
        found = sees(13, age=age).model_copy(update={"against": live.name})
        seen = CheckStatus(found=found)
        return triggers.decide(stack, seen, [live, *known], live, stale=False, busy=None).runs

    (first,) = made(psi[0])
    assert made(psi[1])[0].origin != first.origin, "alone, each of the two sights makes another version"
    name = modelversion.name(stack, first.origin)
    assert made(psi[1], Known(name, now, False, False, None, {}, first.origin)) == []


async def test_below_its_threshold_there_is_no_drift() -> None:
    world = await watched(spec(DRIFT), sees(13, age=0.19))
    assert caused(world) == {}
    assert "age differs most, PSI 0.19" in world.condition("Watched")["message"]


async def test_a_version_that_is_trained_is_waited_for() -> None:
    world = World(spec(NEW_DATA, schedules=[{"name": "hourly", "cron": "0 * * * *"}]), found=sees(11))
    await world.settle()
    world.cluster.clock.moment = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)
    await world.round()  # the schedule's version begins
    world.found = sees(13)
    for _ in range(3):
        world.cluster.clock.forward(1)
        await world.stack()
        world.finish_jobs(only="-check-")
    await world.stack()
    assert caused(world) == {}
    assert "newData waits for" in world.condition("Watched")["message"]
    await world.settle()
    assert list(caused(world)) == ["newData/day_13.parquet"]


async def test_age_makes_a_version_once_for_each_that_is_live() -> None:
    world = await watched(spec({"onStale": "Full"}, maxStaleness="1h"), sees(11))
    live = world.plan.live
    world.cluster.clock.forward(2 * 3600)
    await world.stack()
    await world.stack()
    assert list(caused(world)) == [f"onStale/{live}"]
    world.finish_jobs(exit_code=1)
    await world.round()
    await world.round()
    assert len(caused(world)) == 1


async def test_a_job_that_a_ttl_took_is_not_run_again() -> None:
    world = World(spec(NEW_DATA), found=sees(11))
    while not checks(world):
        world.finish_jobs()
        world.serve()
        world.cluster.clock.forward(5)
        await world.round()
    (name,) = checks(world)
    await world.stack()
    world.cluster.remove("Job", name)
    await world.stack()
    await world.stack()
    assert checks(world) == []
    assert world.condition("Watched")["reason"] == "CheckFailed"
    world.cluster.clock.forward(15 * 60)
    await world.stack()
    assert checks(world) != [name]
    assert len(checks(world)) == 1


@pytest.mark.parametrize("cut", range(1, 5))
async def test_an_operator_that_is_killed_looks_once(cut: int) -> None:
    world = await watched(spec(NEW_DATA), sees(11))
    before = set(checks(world))
    world.cluster.clock.forward(15 * 60)
    world.cluster.cut_after = cut
    with contextlib.suppress(Cut):
        await world.stack()
    world.cluster.cut_after = None
    world.cluster.clock.forward(20)
    await world.stack()
    assert len(set(checks(world)) - before) == 1


async def test_suspended_nothing_is_looked_at() -> None:
    world = await watched(spec(NEW_DATA), sees(11))
    world.edit(spec(NEW_DATA) | {"suspend": True})
    before = checks(world)
    world.cluster.clock.forward(3600)
    world.found = sees(13)
    await world.round()
    assert checks(world) == before
    assert world.condition("Watched")["reason"] == "Suspended"
    assert caused(world) == {}


async def test_a_failed_look_is_told_and_another_comes() -> None:
    world = World(spec(NEW_DATA), found=sees(11))
    while not checks(world):
        world.finish_jobs()
        world.serve()
        world.cluster.clock.forward(5)
        await world.round()
    world.finish_jobs(
        exit_code=3, message='{"error": {"reason": "MissingFile", "message": "Nothing there."}}'
    )
    await world.stack()
    assert world.condition("Watched")["reason"] == "CheckFailed"
    assert "Nothing there." in world.condition("Watched")["message"]
    world.cluster.clock.forward(15 * 60)
    await world.settle()
    assert world.condition("Watched")["reason"] == "Watched"


class Looks(RuleBasedStateMachine):
    """The pure decisions, with days that come, Jobs that end or vanish, kills, and a clock that jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.status: CheckStatus | None = None
        self.day = 11
        self.begun: list[str] = []
        self.jobs: dict[str, JobReport] = {}
        self.asked: list[str] = []
        given = RecommenderStackSpec.model_validate(spec(NEW_DATA, DRIFT))
        self.stack = Stack(SPACE, STACK, "uid", given, SETTINGS)
        window = Days(first="day_00.parquet", last="day_11.parquet")
        self.live = Known(
            modelversion.name(self.stack), rfc3339(self.now), True, True, "x", {}, window=window
        )
        self.known = [self.live]

    @rule(recorded=st.sampled_from([True, True, False]))
    def reconcile(self, recorded: bool) -> None:
        name = self.status.job if self.status else None
        found = triggers.look(self.stack, self.status, self.jobs.get(name or ""), self.live, self.now)
        if found.begin is not None:
            assert found.status is not None
            assert found.status.job is not None
            assert parse(found.begin) <= self.now
            if found.status.job not in self.jobs:
                assert found.status.job not in self.begun, "a Job that is gone is not run again"
                self.begun.append(found.status.job)
                self.jobs[found.status.job] = JobReport(JobState.RUNNING)
        assert found.wake is None or found.wake > self.now
        if not recorded:
            return
        self.status = found.status
        made = triggers.decide(self.stack, self.status, self.known, self.live, stale=False, busy=None)
        for run in made.runs:
            self.asked.append((run.origin.cause or "").partition("/")[2])
            name = modelversion.name(self.stack, run.origin)
            self.known.append(Known(name, rfc3339(self.now), True, True, None, {}, run.origin))

    @rule(psi=st.sampled_from([0.1, 0.3]))
    def jobs_end(self, psi: float) -> None:
        result = StepResult(step="check", compute_seconds=1, check=sees(self.day, age=psi))
        for name, job in self.jobs.items():
            if job.state is JobState.RUNNING:
                self.jobs[name] = JobReport(JobState.SUCCEEDED, result=result)

    @rule()
    def a_ttl_takes_what_was_read(self) -> None:
        if self.status is not None and self.status.job is not None:
            self.jobs.pop(self.status.job, None)

    @rule(minutes=st.sampled_from([1, 7, 15, 16, 100, -20]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def a_day_comes(self) -> None:
        self.day = min(self.day + 1, 40)

    @invariant()
    def one_version_for_one_day(self) -> None:
        assert len(set(self.asked)) == len(self.asked)


TestLooks = Looks.TestCase
TestLooks.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
