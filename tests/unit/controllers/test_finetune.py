"""Versions of kind FineTune: what they go on from, which steps they run, who asks for them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fake_cluster import Cut
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.modelversion import FIRST, Origin, name
from recstack_controllers.resources.stack import Stack
from recstack_controllers.resources.steps import Step
from recstack_crds.v1alpha1 import RecommenderStackSpec
from recstack_crds.v1alpha1.models import Kind
from world import SETTINGS, SPACE, STACK, World

DIGEST = "sha256:" + "a" * 64


def hourly(**more: Any) -> Manifest:
    return {"name": "hourly", "cron": "0 * * * *"} | more


def spec(*found: Manifest, **training: Any) -> Manifest:
    return {"training": {"schedules": list(found)} | training}


def at(world: World, hour: int, minute: int = 0) -> None:
    world.cluster.clock.moment = datetime(2026, 1, 1, hour, minute, tzinfo=UTC)


def runs(world: World) -> dict[str, str]:
    """Scheduled time to version."""
    found = (one["metadata"] for one in world.cluster.all("ModelVersion"))
    return {
        time: one["name"] for one in found if (time := one.get("annotations", {}).get(names.SCHEDULED_TIME))
    }


async def running() -> tuple[World, str]:
    """A stack whose first version is live; and that version's name."""
    world = World()
    await world.settle()
    live = world.plan.live
    assert live is not None
    return world, live


def ask(world: World, parent: str, name: str = "tuned", **more: Any) -> None:
    """A person asks for a fine-tune."""
    world.cluster.clock.forward(5)
    world.cluster.put(
        {
            "apiVersion": "recstack.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": name, "namespace": SPACE},
            "spec": {"stack": STACK, "kind": "FineTune", "parent": parent, **more},
        }
    )


def jobs(world: World, version: str) -> dict[str, list[str]]:
    """Command of each step's Job."""
    return {
        job["metadata"]["labels"][names.STEP]: job["spec"]["template"]["spec"]["containers"][0]["command"]
        for job in world.cluster.all("Job")
        if job["metadata"]["labels"].get(names.VERSION) == version
    }


def value(command: list[str], option: str) -> str | None:
    return command[command.index(option) + 1] if option in command else None


def reason(world: World, version: str, type: str) -> str:
    found: str = world.condition(type, "ModelVersion", version)["reason"]
    return found


async def test_its_steps_begin_with_the_parent_and_all_know_its_package() -> None:
    world, live = await running()
    ask(world, live, days={"first": "day_12.parquet", "last": "day_13.parquet"})
    await world.settle()
    found = jobs(world, "tuned")
    assert set(found) == {step.value for step in Step if step is not Step.EMBED}
    for command in found.values():
        assert value(command, "--parent-package") == f"sha256:{live}"
        assert value(command, "--first-day") == "day_12.parquet"
        assert value(command, "--last-day") == "day_13.parquet"
    status = world.cluster.find("ModelVersion", "tuned")["status"]
    assert status["parent"] == {"version": live, "package": f"sha256:{live}"}
    assert [one["name"] for one in status["steps"]][:2] == ["parent", "ingest"]
    assert world.plan.live == "tuned"


async def test_a_full_one_knows_no_parent() -> None:
    world, live = await running()
    found = jobs(world, live)
    assert "parent" not in found
    assert all("--parent-package" not in command for command in found.values())


async def test_a_digest_is_a_parent_whatever_versions_there_are() -> None:
    world, _ = await running()
    ask(world, DIGEST)
    await world.round()
    assert world.cluster.find("ModelVersion", "tuned")["status"]["parent"] == {
        "version": "",
        "package": DIGEST,
    }
    assert value(jobs(world, "tuned")["parent"], "--parent-package") == DIGEST


async def test_it_waits_for_a_parent_that_is_trained() -> None:
    world = World()
    await world.round()
    (parent,) = world.versions()
    ask(world, parent)
    await world.round()
    assert reason(world, "tuned", "Reconciling") == "ParentNotPackaged"
    assert jobs(world, "tuned") == {}
    await world.settle()
    assert world.plan.live == "tuned"


@pytest.mark.parametrize("stack", [None, "another"])
async def test_a_parent_that_is_not_the_stacks_is_missing(stack: str | None) -> None:
    world, _ = await running()
    if stack:
        metadata = {"name": "gone", "namespace": SPACE}
        found: Manifest = {
            "apiVersion": "recstack.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": metadata,
        }
        world.cluster.put(found | {"spec": {"stack": stack}, "status": {"package": DIGEST}})
    ask(world, "gone")
    await world.version("tuned")
    assert reason(world, "tuned", "Reconciling") == "ParentMissing"
    assert jobs(world, "tuned") == {}


async def test_what_pods_hold_is_a_parent_when_its_version_is_deleted() -> None:
    world, live = await running()
    world.cluster.remove("ModelVersion", live)
    ask(world, live)
    await world.version("tuned")
    assert world.cluster.find("ModelVersion", "tuned")["status"]["parent"]["package"] == f"sha256:{live}"


async def test_the_parents_package_is_fixed_before_the_first_job() -> None:
    """An operator that is killed on the way comes back to the same parent, whatever became of it."""
    world, live = await running()
    ask(world, live)
    world.cluster.cut_after = 2  # the status is written, the Job is not
    with pytest.raises(Cut):
        await world.version("tuned")
    world.cluster.cut_after = None
    world.cluster.find("ModelVersion", live)["status"]["package"] = DIGEST
    await world.version("tuned")
    assert value(jobs(world, "tuned")["parent"], "--parent-package") == f"sha256:{live}"


async def test_skew_stands_in_the_status() -> None:
    world, live = await running()
    world.skew = [{"feature": "taste", "events": 10, "logged": 4, "differs": 0.25, "psi": 0.1}]
    ask(world, live)
    await world.settle()
    assert world.cluster.find("ModelVersion", "tuned")["status"]["skew"] == world.skew


async def test_the_days_that_ingest_found_stand_in_the_status() -> None:
    world, live = await running()
    assert world.cluster.find("ModelVersion", live)["status"]["window"] == {
        "first": "day_00.parquet", "last": "day_11.parquet",
    }  # fmt: skip


async def test_a_schedule_fine_tunes_the_version_that_is_live() -> None:
    world = World(spec(hourly(kind="FineTune")))
    await world.settle()
    live = world.plan.live
    at(world, 1)
    await world.round()
    ((_, version),) = runs(world).items()
    made = world.cluster.find("ModelVersion", version)["spec"]
    assert (made["kind"], made["parent"]) == ("FineTune", live)
    await world.settle()
    assert world.plan.live == version
    at(world, 2)
    await world.settle()
    newest = runs(world)["2026-01-01T02:00:00Z"]
    assert world.cluster.find("ModelVersion", newest)["spec"]["parent"] == version
    assert world.plan.live == newest
    assert await world.round() == 0


async def test_a_full_one_then_a_fine_tune_are_promoted_on_a_running_stack() -> None:
    world = World(spec(hourly(), hourly(name="half", cron="30 * * * *", kind="FineTune")))
    await world.settle()
    at(world, 0, 30)
    await world.settle()
    at(world, 1)
    await world.settle()
    full = runs(world)["2026-01-01T01:00:00Z"]
    assert world.plan.live == full
    at(world, 1, 30)
    await world.settle()
    tuned = runs(world)["2026-01-01T01:30:00Z"]
    assert world.plan.live == tuned
    assert world.cluster.find("ModelVersion", tuned)["spec"]["parent"] == full


async def test_a_schedule_waits_while_nothing_of_the_recipe_is_live() -> None:
    world = World(spec(hourly(kind="FineTune")))
    await world.settle()
    changed = spec(hourly(kind="FineTune"), seed=1)
    world.edit(changed)
    await world.stack()
    world.cluster.find("ModelVersion", world.wanted())["status"] = {
        "conditions": [{"type": "Stalled", "status": "True", "reason": "GateMissed", "message": "x",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }  # fmt: skip
    at(world, 1)
    await world.stack()
    assert runs(world) == {}
    assert "waits for a version of this recipe to be live" in world.condition("Scheduled")["message"]


def stack(training: Manifest) -> Stack:
    return Stack(SPACE, STACK, "uid", RecommenderStackSpec.model_validate({"training": training}), SETTINGS)


def test_how_a_fine_tune_is_fitted_trains_no_full_one_anew() -> None:
    plain = stack({})
    tuned = stack({"fineTune": {"learningRate": 0.5}})
    seeded = stack({"seed": 1, "fineTune": {"learningRate": 0.5}})
    assert name(plain) == name(tuned)
    assert name(plain) == name(plain, FIRST)
    assert name(seeded) == name(stack({"seed": 1})) != name(plain)


def test_a_full_run_and_a_fine_tune_of_the_same_time_are_two_versions() -> None:
    found = {name(stack({}), Origin("2026-01-01T01:00:00Z", None, kind)) for kind in Kind}
    assert len(found) == 2
