"""spec.training.schedules and Fresh: what runs when, also over restarts and clocks that jump."""

from collections.abc import Sequence
from contextlib import suppress
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
from recstack_controllers.recommenderstack import schedules
from recstack_controllers.recommenderstack.reconcile import RESYNC
from recstack_controllers.recommenderstack.schedules import Decision
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources import modelversion
from recstack_controllers.resources.stack import Stack
from recstack_crds.v1alpha1 import RecommenderStackSpec
from recstack_crds.v1alpha1.models import Kind
from recstack_crds.v1alpha1.recommenderstack import ScheduleStatus
from recstack_crds.v1alpha1.status import Condition
from world import SETTINGS, SPACE, STACK, World


def hourly(**more: Any) -> Manifest:
    return {"name": "hourly", "cron": "0 * * * *"} | more


def spec(*found: Manifest, **training: Any) -> Manifest:
    return {"training": {"schedules": list(found)} | training}


async def settled(given: Manifest) -> World:
    world = World(given)
    await world.settle()
    return world


def at(world: World, hour: int, minute: int = 0, second: int = 0) -> None:
    world.cluster.clock.moment = datetime(2026, 1, 1, hour, minute, second, tzinfo=UTC)


def runs(world: World) -> dict[str, str]:
    """Scheduled time to version."""
    found = (one["metadata"] for one in world.cluster.all("ModelVersion"))
    return {
        time: one["name"] for one in found if (time := one.get("annotations", {}).get(names.SCHEDULED_TIME))
    }


def told(world: World, name: str = "hourly") -> Manifest:
    status = world.cluster.find("RecommenderStack", STACK)["status"]
    return next(one for one in status["schedules"] if one["name"] == name)


async def test_a_run_makes_a_version_at_its_time_which_takes_over() -> None:
    world = await settled(spec(hourly()))
    first = world.plan.live
    assert told(world) == {
        "name": "hourly",
        "cron": "0 * * * * UTC",
        "nextScheduledTime": "2026-01-01T01:00:00Z",
    }
    at(world, 0, 59, 30)
    assert (await world.stack()).requeue_after == 30
    assert runs(world) == {}
    at(world, 1)
    await world.stack()
    ((time, version),) = runs(world).items()
    assert time == "2026-01-01T01:00:00Z"
    made = world.cluster.find("ModelVersion", version)["metadata"]["annotations"]
    assert made[names.SCHEDULE] == "hourly"
    assert told(world)["lastVersion"] == version
    assert told(world)["nextScheduledTime"] == "2026-01-01T02:00:00Z"
    await world.stack()
    # The spec is reached all the while: what is trained anew is the same recipe.
    assert world.condition("Ready")["status"] == "True"
    assert world.plan.live == first
    await world.settle()
    assert world.plan.live == version
    assert len(runs(world)) == 1
    assert world.condition("Scheduled")["reason"] == "Scheduled"
    assert await world.round() == 0


async def test_a_changed_schedule_trains_nothing_and_makes_up_for_nothing() -> None:
    world = await settled({})
    live = world.plan.live
    at(world, 5, 30)
    world.edit(spec(hourly()))
    await world.settle()
    assert world.versions() == [live]
    at(world, 5, 59)
    world.edit(spec(hourly(cron="45 5 * * *")))
    await world.stack()
    assert runs(world) == {}
    assert told(world)["nextScheduledTime"] == "2026-01-02T05:45:00Z"


@pytest.mark.parametrize(("deadline", "expected"), [(None, 1), (1900, 1), (1700, 0)])
async def test_runs_that_were_missed_follow_the_policy(deadline: int | None, expected: int) -> None:
    more = {} if deadline is None else {"startingDeadlineSeconds": deadline}
    world = await settled(spec(hourly(**more)))
    at(world, 7, 30)  # nobody was there since a little after 00:00
    await world.stack()
    assert list(runs(world)) == ["2026-01-01T07:00:00Z"] * expected
    assert told(world)["nextScheduledTime"] == "2026-01-01T08:00:00Z"
    missed = [event for event in world.cluster.events if event[1] == "ScheduleMissed"]
    assert len(missed) == 1 - expected


async def test_forbid_waits_for_what_is_trained_and_then_runs_the_latest() -> None:
    world = await settled(spec(hourly()))
    at(world, 1)
    await world.round()
    at(world, 2, 10)
    await world.round()
    at(world, 3, 10)
    await world.round()
    assert list(runs(world)) == ["2026-01-01T01:00:00Z"]
    assert "hourly waits for" in world.condition("Scheduled")["message"]
    await world.settle()
    assert sorted(runs(world)) == ["2026-01-01T01:00:00Z", "2026-01-01T03:00:00Z"]


async def test_forbid_waits_for_the_recipes_own_version_too() -> None:
    world = World(spec(hourly()))
    await world.round()
    at(world, 1)
    await world.round()
    assert runs(world) == {}


async def test_replace_puts_the_older_run_aside() -> None:
    world = await settled(spec(hourly(concurrencyPolicy="Replace")))
    at(world, 1)
    await world.round()
    older = runs(world)["2026-01-01T01:00:00Z"]
    assert [job["metadata"]["name"] for job in world.cluster.all("Job") if older in job["metadata"]["name"]]
    at(world, 2)
    await world.round()
    await world.round()
    assert not [job for job in world.cluster.all("Job") if older in job["metadata"]["name"]]
    assert world.condition("Ready", "ModelVersion", older)["reason"] == "Superseded"
    await world.settle()
    assert world.plan.live == runs(world)["2026-01-01T02:00:00Z"]


async def test_two_schedules_at_one_moment_share_a_version() -> None:
    world = await settled(spec(hourly(), hourly(name="other", timeZone="Africa/Abidjan")))
    at(world, 1)
    await world.stack()
    assert len(runs(world)) == 1
    assert told(world)["lastVersion"] == told(world, "other")["lastVersion"]
    await world.settle()
    assert len(runs(world)) == 1


@pytest.mark.parametrize("writes", range(1, 4))
async def test_an_operator_that_is_killed_makes_no_second_version(writes: int) -> None:
    world = await settled(spec(hourly()))
    at(world, 1)
    world.cluster.cut_after = writes
    with suppress(Cut):
        await world.stack()
    world.cluster.cut_after = None
    world.edit(spec(hourly(), seed=5))  # another recipe gives another name, yet the run was made
    await world.stack()
    assert len(runs(world)) == 1
    await world.settle()
    assert len(runs(world)) == 1
    assert world.plan.live == world.wanted()


async def test_suspend_holds_runs_and_the_policy_decides_after() -> None:
    world = await settled(spec(hourly()))
    world.edit(spec(hourly()) | {"suspend": True})
    at(world, 3, 30)
    await world.settle()
    assert runs(world) == {}
    assert world.condition("Scheduled")["reason"] == "Suspended"
    assert world.condition("Ready")["status"] == "True"
    world.edit(spec(hourly()))
    await world.stack()
    assert list(runs(world)) == ["2026-01-01T03:00:00Z"]


async def test_a_clock_that_is_put_back_runs_nothing_again() -> None:
    world = await settled(spec(hourly()))
    at(world, 2, 30)
    await world.settle()
    at(world, 0, 30)
    await world.settle()
    at(world, 2, 45)
    await world.settle()
    assert list(runs(world)) == ["2026-01-01T02:00:00Z"]


async def test_a_run_that_fails_is_told_and_what_serves_goes_on() -> None:
    world = await settled(spec(hourly()))
    live = world.plan.live
    at(world, 1)
    await world.round()
    world.finish_jobs(137, "OOMKilled", "Killed")
    await world.round()
    await world.round()
    assert world.condition("Scheduled")["reason"] == "LastRunFailed"
    assert world.condition("Ready")["status"] == "True"
    assert world.plan.live == live
    at(world, 2)
    await world.settle()
    assert world.plan.live == runs(world)["2026-01-01T02:00:00Z"]
    assert world.condition("Scheduled")["reason"] == "Scheduled"


@pytest.mark.parametrize("wrong", [{"cron": "99 * * * *"}, {"timeZone": "Mars/Olympus"}])
async def test_an_invalid_schedule_stalls_and_the_others_go_on(wrong: Manifest) -> None:
    world = await settled(spec(hourly(), {"name": "bad", "cron": "0 1 * * *"} | wrong))
    assert world.plan.live is not None
    for type in ("Scheduled", "Ready"):
        assert world.condition(type)["reason"] == "InvalidSchedule"
    assert world.condition("Stalled")["status"] == "True"
    assert "Schedule bad" in world.condition("Stalled")["message"]
    at(world, 1)
    await world.settle()
    assert len(runs(world)) == 1
    world.edit({})
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Scheduled") == {}
    assert world.cluster.find("RecommenderStack", STACK)["status"]["schedules"] == []


async def test_failing_runs_do_not_heap_up() -> None:
    world = await settled(spec(hourly()) | {"rollout": {"historyLimit": 1}})
    for hour in range(1, 6):
        at(world, hour)
        await world.round()
        world.finish_jobs(137, "OOMKilled", "Killed")
        await world.round()
        await world.round()
    assert len(world.versions()) <= 3  # the live one, the newest, and one of history


async def test_a_persons_newer_version_holds_until_the_next_run() -> None:
    world = await settled(spec(hourly()))
    world.cluster.put(
        {
            "apiVersion": "recstack.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": "by-hand", "namespace": SPACE},
            "spec": {"stack": STACK},
        }
    )
    await world.settle()
    assert world.plan.live == "by-hand"
    at(world, 1)
    await world.settle()
    assert world.plan.live == runs(world)["2026-01-01T01:00:00Z"]
    world.edit(spec(hourly()) | {"rollout": {"pin": "by-hand"}})
    at(world, 2)
    await world.settle()
    assert world.plan.live == "by-hand"
    assert len(runs(world)) == 2


async def test_a_recipe_that_comes_back_is_served_by_its_newest_run() -> None:
    """The recipe's first version fell to the history limit; nothing is trained for it again."""
    keep = {"rollout": {"historyLimit": 1, "keepLoaded": 0}}
    world = await settled(spec(hourly()) | keep)
    first = world.plan.live
    at(world, 1)
    await world.settle()
    newest = runs(world)["2026-01-01T01:00:00Z"]
    world.edit(spec(seed=5) | keep)
    await world.settle()
    assert world.versions() == sorted([newest, world.plan.live or ""])
    world.edit(spec() | keep)
    await world.settle()
    assert world.plan.live == newest
    assert first not in world.versions()


async def test_a_run_that_was_put_aside_goes_on_when_the_later_one_is_deleted() -> None:
    world = await settled(spec(hourly(concurrencyPolicy="Replace")))
    for hour in (1, 2):
        at(world, hour)
        await world.round()
    older, later = (runs(world)[f"2026-01-01T0{hour}:00:00Z"] for hour in (1, 2))
    world.cluster.remove("ModelVersion", later)
    await world.settle()
    assert world.plan.live == older


async def test_fresh_turns_at_its_moment_and_leaves_ready_alone() -> None:
    world = await settled(spec(maxStaleness="2h"))
    found = world.condition("Fresh")
    assert (found["status"], found["reason"]) == ("True", "Fresh")
    (version,) = world.versions()
    made = parse(world.cluster.find("ModelVersion", version)["metadata"]["creationTimestamp"])
    world.cluster.clock.moment = made + timedelta(hours=2, seconds=-50)
    assert (await world.stack()).requeue_after == 50
    world.cluster.clock.forward(50)
    assert (await world.stack()).requeue_after == RESYNC
    assert world.condition("Fresh")["reason"] == "Stale"
    assert world.condition("Ready")["status"] == "True"
    assert [event[1] for event in world.cluster.events].count("Stale") == 1
    world.edit(spec(hourly(), maxStaleness="2h"))
    await world.stack()
    at(world, 3)
    await world.settle()
    assert world.condition("Fresh")["status"] == "True"
    world.edit({})
    await world.settle()
    assert world.condition("Fresh") == {}


async def test_the_age_of_what_is_gone_is_not_known() -> None:
    world = World(spec(maxStaleness="2h"))
    await world.stack()
    assert (world.condition("Fresh")["status"], world.condition("Fresh")["reason"]) == (
        "Unknown",
        "AgeUnknown",
    )


DONE = Condition(type="Packaged", status="True", reason="x", last_transition_time="2026-01-01T00:00:00Z")


class Runs(RuleBasedStateMachine):
    """The pure decision, with an operator that is killed, a clock that jumps, and people who edit."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 28, tzinfo=UTC)
        self.status: Sequence[ScheduleStatus] = []
        self.known: list[Known] = []
        self.made: list[tuple[str, str]] = []
        self.seed = 0
        self.own()

    @property
    def stack(self) -> Stack:
        found: list[Manifest] = [
            {"name": "a", "cron": "30 2 * * *", "timeZone": "Europe/Berlin"},
            {"name": "b", "cron": "*/40 * * * *", "startingDeadlineSeconds": 600, "kind": "FineTune"},
        ]
        given = RecommenderStackSpec.model_validate(spec(*found, seed=self.seed))
        return Stack(SPACE, STACK, "uid", given, SETTINGS)

    def own(self) -> None:
        name = modelversion.name(self.stack)
        if all(one.name != name for one in self.known):
            self.known.append(Known(name, rfc3339(self.now), True, True, None, {"Packaged": DONE}))

    @property
    def live(self) -> str | None:
        """The newest version that is packaged answers."""
        return next((one.name for one in reversed(self.known) if one.is_true("Packaged")), None)

    @rule(recorded=st.sampled_from([True, True, False]))
    def look(self, recorded: bool) -> None:
        """``recorded``: the operator lived to write the status."""
        found: Decision = schedules.decide(self.stack, self.status, self.known, self.live, self.now)
        for run in found.runs:
            assert run.origin.scheduled is not None
            assert parse(run.origin.scheduled) <= self.now
            assert run.parent == (self.live if run.origin.kind is Kind.FINE_TUNE else None)
            self.made.append((run.origin.schedule or "", run.origin.scheduled))
            name = modelversion.name(self.stack, run.origin)
            one = Known(name, rfc3339(self.now), True, True, None, {}, run.origin)
            self.known.append(one)
        assert found.wake is None or found.wake > self.now
        if recorded:
            self.status = found.status

    @rule(minutes=st.sampled_from([1, 7, 40, 61, 300, 1500, -30, -200]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def training_ends(self) -> None:
        for one in self.known:
            one.conditions["Packaged"] = DONE

    @rule(seed=st.integers(0, 1))
    def person_edits(self, seed: int) -> None:
        self.seed = seed
        self.own()

    @invariant()
    def never_two_versions_for_one_time(self) -> None:
        assert len(set(self.made)) == len(self.made)

    @invariant()
    def at_most_one_is_trained(self) -> None:
        mine = [one for one in self.known if one.name == modelversion.name(self.stack, one.origin)]
        assert sum(one.in_training for one in mine) <= 1


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
