"""spec.rollout.pin: the named version serves, others wait, and what was live before is still loaded."""

from datetime import UTC, datetime
from typing import Any

import pytest
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.proof import Verdict
from recstack_controllers.recommenderstack.reconcile import RESYNC
from recstack_controllers.recommenderstack.rollout import advance
from recstack_controllers.recommenderstack.strategy import Look
from recstack_controllers.recommenderstack.verdict import Figures
from recstack_controllers.resources.configmaps import Plan, PlannedVersion
from recstack_crds.v1alpha1.rollout import Rollout
from world import SPACE, STACK, World


def spec(seed: int, **rollout: Any) -> Manifest:
    return {"training": {"seed": seed}, "rollout": rollout}


async def trained(*seeds: int, **rollout: Any) -> tuple[World, list[str]]:
    """A stack that had these recipes, one after the other; gives their versions too."""
    world, live = World(spec(seeds[0], **rollout)), []
    for seed in seeds:
        world.edit(spec(seed, **rollout))
        await world.settle()
        live.append(world.plan.live or "")
    return world, live


def history(world: World) -> list[str]:
    status = world.cluster.find("RecommenderStack", STACK)["status"]
    return [one["version"] for one in status["history"]]


async def test_a_pin_to_the_version_before_flips_in_one_pass() -> None:
    world, (old, new) = await trained(1, 2)
    assert (world.plan.live, world.plan.kept) == (new, (old,))
    assert world.condition("Loaded", "ModelVersion", old)["reason"] == "Kept"
    world.edit(spec(2, pin=old))
    await world.stack()
    assert (world.plan.live, world.plan.kept, world.plan.drain) == (old, (new,), ())
    await world.settle()
    pinned = world.condition("Pinned")
    assert (pinned["status"], pinned["reason"]) == ("True", "Pinned")
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Live", "ModelVersion", old)["status"] == "True"
    assert history(world) == [old, new, old]
    assert await world.round() == 0
    assert (await world.stack()).requeue_after == RESYNC


async def test_nothing_takes_over_from_a_pinned_version_and_all_does_after() -> None:
    world, (old, _) = await trained(1, 2)
    world.edit(spec(3, pin=old))
    await world.settle()
    assert world.plan.live == old
    (newest,) = [
        name
        for name in world.versions()
        if world.condition("Loaded", "ModelVersion", name).get("reason") == "Pinned"
    ]
    assert "pinned to" in world.condition("Loaded", "ModelVersion", newest)["message"]
    assert (await world.version(newest)).requeue_after is None
    world.edit(spec(3))
    await world.settle()
    assert world.plan.live == newest
    assert world.condition("Pinned") == {}


async def test_a_persons_version_also_waits() -> None:
    world, (old, _) = await trained(1, 2)
    world.edit(spec(2, pin=old))
    world.cluster.clock.forward(60)
    world.cluster.put(
        {
            "apiVersion": "recstack.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": "by-hand", "namespace": SPACE},
            "spec": {"stack": STACK, "promote": "Manual"},
        }
    )
    await world.settle()
    assert world.plan.live == old
    # Naming it is letting it serve: no annotation is needed on top.
    world.edit(spec(2, pin="by-hand"))
    await world.settle()
    assert world.plan.live == "by-hand"


async def test_a_pin_to_nothing_stalls_and_what_serves_goes_on() -> None:
    world, (live,) = await trained(1)
    world.edit(spec(1, pin="gone"))
    await world.settle()
    assert world.plan.live == live
    for type in ("Pinned", "ModelReady", "Ready"):
        found = world.condition(type)
        assert (found["status"], found["reason"]) == ("False", "PinnedVersionMissing")
    assert "There is no ModelVersion gone" in world.condition("Stalled")["message"]
    assert world.condition("ServingReady")["status"] == "True"


async def test_a_pinned_version_that_is_not_packaged_is_waited_for() -> None:
    world, (live,) = await trained(1)
    world.edit(spec(2))
    await world.round()
    (coming,) = set(world.versions()) - {live}
    world.edit(spec(1, pin=coming))  # another recipe, and yet its training goes on
    await world.round()
    found = world.condition("Pinned")
    assert (found["status"], found["reason"]) == ("False", "Training")
    assert f"Version {live} answers meanwhile" in found["message"]
    await world.settle()
    assert world.plan.live == coming
    assert world.condition("Pinned")["status"] == "True"


async def test_a_pin_holds_while_suspended() -> None:
    world, (old, _) = await trained(1, 2)
    world.edit(spec(2, pin=old) | {"suspend": True})
    await world.settle()
    assert world.plan.live == old
    assert world.condition("Ready")["status"] == "True"


async def test_a_pinned_version_outlives_the_history_limit() -> None:
    world, (old, _) = await trained(1, 2, keepLoaded=0)
    for seed in (3, 4, 5):
        world.edit(spec(seed, pin=old, historyLimit=1, keepLoaded=0))
        await world.settle()
    world.edit(spec(5, pin=old, historyLimit=1, keepLoaded=0))
    await world.settle()
    assert old in world.versions()
    assert world.plan.live == old


async def test_the_limit_does_not_take_a_pinned_version_that_is_not_live_yet() -> None:
    world, (old, *_) = await trained(1, 2, 3, 4, keepLoaded=0)
    for number in (1,):
        world.kill(number)
    world.cluster.answers.clear()
    world.edit(spec(4, pin=old, historyLimit=1, keepLoaded=0))
    for _ in range(3):
        await world.round()
    assert world.plan.live != old
    assert old in world.versions()


async def test_a_pin_without_a_loaded_version_loads_it_beside() -> None:
    world, (old, new) = await trained(1, 2, keepLoaded=0)
    assert [one.name for one in world.plan.versions] == [new]
    world.edit(spec(2, pin=old, keepLoaded=0))
    await world.round()
    assert world.plan.live == new
    assert world.condition("Pinned")["reason"] == "Loading"
    await world.settle()
    assert [one.name for one in world.plan.versions] == [old]


async def test_a_pod_that_does_not_hold_the_pinned_version_holds_the_flip() -> None:
    world, (old, new) = await trained(1, 2)
    world.pod(2)  # as an autoscaler adds one
    world.edit(spec(2, pin=old))
    await world.stack()
    assert world.plan.live == new
    world.report(2)
    await world.stack()
    assert world.plan.live == old


async def test_history_is_bounded_and_newest_first() -> None:
    world, (one, two) = await trained(1, 2)
    for turn in range(12):
        world.edit(spec(2, pin=(one, two)[turn % 2]))
        await world.settle()
    assert history(world) == [two, one] * 5


def planned(name: str) -> PlannedVersion:
    return PlannedVersion(name, f"sha256:{name}", "repo", "file:///artifacts")


def look(target: PlannedVersion, verdict: Verdict) -> Look:
    return Look(
        target=target,
        proven=verdict is Verdict.PROVEN,
        at_once=False,
        frozen=False,
        promoted="",
        measured=lambda name: Figures(),
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_pods_never_hold_more_than_a_swap_or_the_declared_number_needs(keep: int) -> None:
    plan = Plan(None, (), ())
    for number in range(6):
        target = planned(f"v{number}")
        for verdict in (Verdict.PENDING, Verdict.PROVEN):
            plan, _ = advance(plan, look(target, verdict), (), Rollout(keep_loaded=keep))
            assert len(plan.versions) <= 1 + max(1, keep)
            assert len({one.name for one in plan.versions}) == len(plan.versions)
            assert not set(plan.drain) & {one.name for one in plan.versions}
    assert plan.live == "v5"
    assert plan.kept == tuple(f"v{4 - back}" for back in range(keep))


def test_a_lower_number_drains_the_oldest() -> None:
    plan = Plan("c", (planned("c"), planned("b"), planned("a")), (), ("b", "a"))
    plan, _ = advance(plan, look(planned("c"), Verdict.PENDING), (), Rollout(keep_loaded=1))
    assert (plan.kept, plan.drain) == (("b",), ("a",))


async def test_a_plan_of_a_release_before_is_read() -> None:
    world, (live,) = await trained(1)
    found = world.cluster.find("ConfigMap", names.plan(STACK))
    found["data"]["plan.json"] = found["data"]["plan.json"].replace('"kept": [],', "")
    assert "kept" not in found["data"]["plan.json"]
    await world.settle()
    assert world.plan.live == live
