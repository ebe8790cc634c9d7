"""spec.rollout.strategy and soak: steps, what holds them, and the way back."""

from typing import Any

import pytest
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.recommenderstack.run import POLL
from recstack_controllers.resources.configmaps import Mirror, Phase, Route, read_plan
from world import STACK, World

STEPS = [{"weight": 10, "pause": "1m"}, {"weight": 50, "pause": "2m"}]
CANARY = {"strategy": {"type": "Canary", "canary": {"steps": STEPS}}}
SOAK = {"duration": "5m", "minRequests": 100, "maxErrorRate": 0.05, "maxLatencyRatio": 1.5}
GOOD = {"requests": 500, "errors": 0, "latency": {"5": 400, "10": 100}}
FAILING = {"requests": 500, "errors": 100, "latency": {"5": 500}}
SLOW = {"requests": 500, "errors": 0, "latency": {"5": 300, "40": 200}}


def spec(seed: int, **rollout: Any) -> Manifest:
    return {"training": {"seed": seed}, "rollout": rollout}


async def on_its_way(**rollout: Any) -> tuple[World, str, str]:
    """A live version, and a second one that every pod has proven."""
    world = World(spec(1, **rollout))
    await world.settle()
    old = world.plan.live or ""
    world.edit(spec(2, **rollout))
    for _ in range(12):
        await world.round()
        world.finish_jobs()
        if world.plan.candidate is not None:
            break
    new = world.wanted()
    world.traffic = {old: GOOD, new: GOOD}
    return world, old, new


async def later(world: World, seconds: float) -> None:
    """Pods read the plan and count; time passes; the operator looks."""
    world.serve()
    world.cluster.clock.forward(seconds)
    await world.round()


def weights(world: World) -> dict[str, int]:
    return {one.version: one.weight for one in world.plan.routes}


def rollout(world: World) -> Manifest:
    found: Manifest = world.cluster.find("RecommenderStack", STACK)["status"].get("rollout", {})
    return found


async def test_a_canary_goes_step_by_step() -> None:
    world, old, new = await on_its_way(**CANARY)
    assert (world.plan.live, world.plan.routes) == (old, ())
    await later(world, 5)
    assert (world.plan.live, weights(world)) == (old, {new: 10})
    assert (world.condition("Ready")["status"], world.condition("ModelReady")["reason"]) == (
        "False",
        "Canary",
    )
    assert world.condition("Live", "ModelVersion", new)["reason"] == "Canary"
    await later(world, 55)
    assert weights(world) == {new: 10}
    assert (rollout(world)["step"], rollout(world)["steps"], rollout(world)["weight"]) == (1, 2, 10)
    assert rollout(world)["candidate"]["requests"] == 500
    await later(world, 6)
    assert (world.plan.live, weights(world)) == (old, {new: 50})
    await later(world, 119)
    assert weights(world) == {new: 50}
    await later(world, 1)
    assert (world.plan.live, weights(world), world.plan.kept) == (new, {}, (old,))
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert (rollout(world)["phase"], rollout(world)["weight"]) == ("Completed", 100)
    assert await world.round() == 0


async def test_the_first_version_takes_no_steps() -> None:
    world = World(spec(1, **CANARY))
    for _ in range(12):
        await world.round()
        world.finish_jobs()
        world.serve()
        assert world.plan.routes == ()
    assert world.plan.live is not None
    assert rollout(world) == {}


async def test_a_step_waits_for_requests() -> None:
    world, _old, new = await on_its_way(**CANARY, soak=SOAK)
    world.traffic[new] = GOOD | {"requests": 40}
    await later(world, 5)
    await later(world, 600)
    await later(world, 600)
    assert weights(world) == {new: 10}
    assert "80 of 100" in rollout(world)["message"] or "40 of 100" in rollout(world)["message"]
    world.traffic[new] = GOOD
    await later(world, 31)
    assert weights(world) == {new: 50}


@pytest.mark.parametrize(("traffic", "reason"), [(FAILING, "ErrorRate"), (SLOW, "Latency")])
async def test_a_bad_canary_is_taken_back_and_not_tried_again(traffic: Manifest, reason: str) -> None:
    world, old, new = await on_its_way(**CANARY, soak=SOAK)
    await later(world, 5)
    world.traffic[new] = traffic
    await later(world, POLL)
    assert (world.plan.live, weights(world)) == (old, {})
    assert new in world.plan.drain
    (told,) = world.plan.rolled_back
    assert (told.version, told.reason) == (new, reason)
    await world.settle()
    assert [one.name for one in world.plan.versions] == [old]
    for type in ("ModelReady", "Ready"):
        assert world.condition(type)["reason"] == "RolledBack"
    assert world.condition("Stalled")["status"] == "True"
    assert told.message in world.condition("Ready")["message"]
    assert rollout(world)["phase"] == "RolledBack"
    for type in ("Live", "Ready"):
        assert world.condition(type, "ModelVersion", new)["reason"] == "RolledBack"
    version = world.cluster.find("ModelVersion", new)
    assert version["status"]["rolledBack"]["reason"] == reason
    assert ("Warning", "RolledBack") in {(type, why) for type, why, _ in world.cluster.events}
    world.cluster.clock.forward(86_400)
    assert await world.round() == 0


async def taken_back(**more: Any) -> tuple[World, str, str]:
    world, old, new = await on_its_way(**CANARY, soak=SOAK, **more)
    await later(world, 5)
    world.traffic[new] = FAILING
    await later(world, POLL)
    await world.settle()
    world.traffic[new] = GOOD
    return world, old, new


async def test_another_word_of_a_person_tries_it_again() -> None:
    world, old, new = await taken_back()
    world.cluster.find("ModelVersion", new)["metadata"].setdefault("annotations", {})[names.PROMOTE] = "again"
    await world.round()
    assert world.plan.candidate is not None
    await later(world, 5)
    assert weights(world) == {new: 10}
    world.traffic[new] = FAILING
    await later(world, POLL)
    await world.settle()
    assert world.plan.live == old  # the same word counts once
    assert [one.version for one in world.plan.rolled_back] == [new]


async def test_a_pin_takes_one_that_was_rolled_back() -> None:
    world, _old, new = await taken_back()
    world.edit(spec(2, **CANARY, soak=SOAK, pin=new))
    await world.settle()
    assert (world.plan.live, world.plan.rollout, world.plan.rolled_back) == (new, None, ())
    assert world.condition("Ready")["status"] == "True"
    assert "rolledBack" not in world.cluster.find("ModelVersion", new)["status"]


async def test_a_lost_plan_does_not_try_it_again() -> None:
    world, old, new = await taken_back()
    world.cluster.remove("ConfigMap", names.plan(STACK))
    await world.settle()
    assert world.plan.live is None or world.plan.live == old
    assert world.condition("Live", "ModelVersion", new)["reason"] == "RolledBack"


async def test_a_pin_in_the_middle_ends_it_at_once() -> None:
    world, old, new = await on_its_way(**CANARY, soak=SOAK)
    await later(world, 5)
    world.edit(spec(2, **CANARY, soak=SOAK, pin=old))
    await world.round()
    assert (world.plan.live, weights(world), world.plan.rollout) == (old, {}, None)
    assert rollout(world)["phase"] == "Replaced"
    world.edit(spec(2, **CANARY, soak=SOAK, pin=new))
    await world.round()
    world.serve()
    await world.round()
    assert (world.plan.live, world.plan.rollout) == (new, None)


async def test_a_third_spec_in_the_middle() -> None:
    world, old, new = await on_its_way(**CANARY)
    await later(world, 5)
    assert weights(world) == {new: 10}
    world.edit(spec(3, **CANARY))
    await world.settle(400)
    third = world.wanted()
    assert world.plan.live == third
    assert third not in (old, new)
    assert world.condition("Live", "ModelVersion", new)["status"] == "False"


async def test_a_pod_that_comes_in_the_middle_holds_the_next_step() -> None:
    world, _old, new = await on_its_way(**CANARY)
    await later(world, 5)
    world.pod(2)
    world.cluster.clock.forward(300)
    await world.round()
    assert weights(world) == {new: 10}
    world.report(2)
    await world.round()
    assert weights(world) == {new: 50}


async def test_suspended_it_stays_and_yet_is_taken_back() -> None:
    world, _old, new = await on_its_way(**CANARY, soak=SOAK)
    await later(world, 5)
    world.edit(spec(2, **CANARY, soak=SOAK) | {"suspend": True})
    await later(world, 600)
    await later(world, 600)
    assert weights(world) == {new: 10}
    world.traffic[new] = FAILING
    await later(world, POLL)
    assert weights(world) == {}


async def test_soak_after_a_flip_ends_well() -> None:
    world, old, new = await on_its_way(soak=SOAK)
    assert world.plan.rollout is not None
    assert world.plan.rollout.phase is Phase.LOADING
    await later(world, 5)
    progress = world.plan.rollout
    assert (world.plan.live, world.plan.kept) == (new, (old,))
    assert progress is not None
    assert progress.phase is Phase.SOAKING
    assert progress.baseline is not None
    assert progress.baseline.p99 == 10
    assert world.condition("Ready")["status"] == "False"
    await later(world, 299)
    assert world.condition("ModelReady")["reason"] == "Soaking"
    assert world.condition("Live", "ModelVersion", new)["status"] == "True"
    await later(world, 1)
    await world.settle()
    assert world.plan.live == new
    assert not world.plan.moving
    assert world.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("keep", [0, 1])
async def test_soak_after_a_flip_takes_back(keep: int) -> None:
    """The one before is loaded as long as it may be needed, whatever keepLoaded says."""
    world, old, new = await on_its_way(soak=SOAK, keepLoaded=keep)
    await later(world, 5)
    assert world.plan.live == new
    world.traffic[new] = FAILING
    await later(world, POLL)
    assert (world.plan.live, world.plan.rolled_back[0].version) == (old, new)
    await world.settle()
    assert [one.name for one in world.plan.versions] == [old]
    assert world.condition("Ready")["reason"] == "RolledBack"
    assert world.condition("Live", "ModelVersion", old)["status"] == "True"


async def test_a_shadow_is_mirrored_and_compared() -> None:
    shadow = {"fraction": 0.5, "duration": "1m", "minOverlap": 0.5}
    world, old, new = await on_its_way(strategy={"type": "Shadow", "shadow": shadow}, soak=SOAK)
    world.traffic[new] = GOOD | {"mirrored": 200, "overlap": 120.0}
    await later(world, 5)
    assert (world.plan.mirror, world.plan.routes, world.plan.live) == (Mirror(new, 0.5), (), old)
    assert world.condition("Live", "ModelVersion", new)["reason"] == "Shadow"
    await later(world, 59)
    assert world.plan.live == old
    await later(world, 1)
    assert (world.plan.live, world.plan.mirror) == (new, None)


async def test_a_shadow_that_answers_otherwise_is_taken_back() -> None:
    shadow = {"fraction": 0.5, "duration": "1m", "minOverlap": 0.5}
    world, old, new = await on_its_way(strategy={"type": "Shadow", "shadow": shadow}, soak=SOAK)
    world.traffic[new] = GOOD | {"mirrored": 200, "overlap": 60.0}
    await later(world, 5)
    await later(world, POLL)
    assert (world.plan.live, world.plan.mirror) == (old, None)
    assert world.plan.rolled_back[0].reason == "Overlap"


async def test_a_plan_survives_being_written_and_read() -> None:
    world, _old, new = await on_its_way(**CANARY, soak=SOAK)
    await later(world, 5)
    text = world.cluster.find("ConfigMap", names.plan(STACK))["data"]["plan.json"]
    assert '"clickEvent"' not in text
    plan, generation = read_plan(world.cluster.find("ConfigMap", names.plan(STACK)))
    assert plan.routes == (Route(new, 10),)
    assert plan.rollout is not None
    assert plan.rollout.epoch in text
    assert generation > 1


async def test_steps_edited_in_the_middle() -> None:
    world, _old, new = await on_its_way(**CANARY)
    await later(world, 5)
    await later(world, 60)
    assert weights(world) == {new: 50}
    one = {"strategy": {"type": "Canary", "canary": {"steps": [{"weight": 20, "pause": "1m"}]}}}
    world.edit(spec(2, **one))
    await later(world, 1)
    assert weights(world) == {new: 20}
    await later(world, 120)
    assert world.plan.live == new


async def test_a_lift_that_is_not_shown() -> None:
    soak = {"minRequests": 10, "clickThrough": {"minLift": 0.1}}
    world, old, new = await on_its_way(**CANARY, soak=soak)
    clicks = {"replies": 1000, "clicks": 100}
    world.traffic = {old: GOOD | clicks, new: GOOD | clicks}
    await later(world, 5)
    await later(world, 61)
    assert weights(world) == {new: 50}  # only the last step asks for it
    await later(world, 121)
    assert (world.plan.live, world.plan.rolled_back[0].reason) == (old, "LiftNotShown")


LATENCY = {"evaluation": {"gates": [{"metric": "latencyP99", "max": 6.0}, {"metric": "auc", "min": 0.5}]}}


@pytest.mark.parametrize("rollout_spec", [{}, CANARY])
async def test_a_version_that_is_too_slow_answers_nobody(rollout_spec: Manifest) -> None:
    world = World(spec(1, **rollout_spec) | LATENCY)
    world.told_gates = [{"metric": "auc", "value": 0.8, "threshold": 0.5, "passed": True, "reason": "Passed"}]
    await world.settle()
    old = world.plan.live
    assert old is not None
    world.latency = {"p50": 3.0, "p99": 9.5}
    world.edit(spec(2, **rollout_spec) | LATENCY)
    await world.settle()
    new = world.wanted()
    assert [one.name for one in world.plan.versions] == [old]
    (told,) = world.plan.rolled_back
    assert (told.version, told.reason) == (new, "LatencyGateMissed")
    assert "latencyP99 is 9.5 ms" in told.message
    for type, kind, name in (("ModelReady", "RecommenderStack", STACK), ("Live", "ModelVersion", new)):
        assert world.condition(type, kind, name)["reason"] == "GateMissed"
    gates = world.cluster.find("ModelVersion", new)["status"]["gates"]
    assert [(one["metric"], one["passed"]) for one in gates] == [("auc", True), ("latencyP99", False)]
    assert gates[1]["value"] == 9.5
    assert world.condition("Evaluated", "ModelVersion", new)["status"] == "True"
    assert await world.round() == 0


async def test_a_version_whose_latency_is_not_measured_yet_waits() -> None:
    world = World(spec(1) | LATENCY)
    world.told_gates = [{"metric": "auc", "value": 0.8, "threshold": 0.5, "passed": True, "reason": "Passed"}]
    world.latency = None
    for _ in range(12):
        await world.round()
        world.finish_jobs()
        world.serve()
    assert (world.plan.live, world.plan.candidate is None) == (None, False)
    world.latency = {"p50": 3.0, "p99": 5.0}
    await world.settle()
    assert world.plan.live == world.wanted()


async def test_a_slow_pod_that_comes_while_it_answers_takes_nothing_back() -> None:
    world, _, new = await on_its_way(**CANARY)
    found = world.cluster.find("ModelVersion", new)
    found["spec"]["recipe"]["evaluation"] = LATENCY["evaluation"]
    await later(world, 5)
    assert weights(world) == {new: 10}
    world.latency = {"p50": 30.0, "p99": 95.0}
    await later(world, 5)
    assert (weights(world), world.plan.rolled_back) == ({new: 10}, ())


async def test_a_version_without_room_in_memory_says_what_to_do() -> None:
    world, old, new = await on_its_way()
    world.report(1, "NoRoom", new)
    await world.round()
    assert world.plan.live == old
    for type in ("ModelReady", "Ready", "Stalled"):
        assert world.condition(type)["reason"] == "NoMemoryHeadroom"
    assert "Raise spec.serving.memory" in world.condition("Ready")["message"]
    assert world.condition("Loaded", "ModelVersion", new)["reason"] == "NoMemoryHeadroom"
    await world.settle()  # there is room at last
    assert world.plan.live == new


@pytest.mark.parametrize(("said", "told"), [({}, False), ({"memoryFallback": "Recreate"}, True)])
async def test_pods_are_told_what_to_do_without_room(said: Manifest, told: bool) -> None:
    world = World(spec(1, **said))
    await world.round()
    text = world.cluster.find("ConfigMap", names.plan(STACK))["data"]["plan.json"]
    assert ('"memoryFallback": "Recreate"' in text) is told
