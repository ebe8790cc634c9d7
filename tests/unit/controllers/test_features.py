"""The feature store's part of a stack's reconcile, told as stories."""

import base64
import json
from typing import Any

import pytest
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import feast
from world import STACK, World

SPEC: Manifest = {"stores": {"feast": {}}}
EXTERNAL: Manifest = {"stores": {"feast": {}, "valkey": {"external": {"host": "cache.example"}}}}


def status(world: World) -> Manifest:
    return dict(world.cluster.find("RecommenderStack", STACK)["status"])


def jobs(world: World) -> list[str]:
    """Feast's Jobs."""
    return [
        job["metadata"]["name"]
        for job in world.cluster.all("Job")
        if job["metadata"]["labels"][names.COMPONENT] == feast.COMPONENT
    ]


def definitions(world: World) -> Any:
    return json.loads(world.cluster.find("ConfigMap", "retail-feast")["data"]["definitions.json"])


async def settled(spec: Manifest) -> World:
    world = World(spec)
    await world.settle()
    return world


async def until_features_are_applied(world: World) -> None:
    """Training is done, and Feast's Job has begun."""
    for _ in range(20):
        await world.round()
        if jobs(world):
            return
        world.finish_jobs()
    raise AssertionError("Feast's Job never begins")


async def test_features_are_applied_once_a_version_is_packaged() -> None:
    world = World(SPEC)
    await world.round()
    assert world.condition("FeaturesReady")["reason"] == "NoVersion"
    await until_features_are_applied(world)
    assert world.condition("FeaturesReady")["reason"] == "Applying"
    assert definitions(world)["snapshot"] == world.versions()[0]
    assert world.cluster.all("CronJob") == [], "an increment would write the registry at the same time"
    await world.settle()
    assert world.condition("FeaturesReady")["status"] == "True"
    assert world.condition("Ready")["status"] == "True"
    found = status(world)["feast"]
    assert (found["appliedVersion"], found["runs"]) == (world.versions()[0], 1)
    cron = world.cluster.find("CronJob", "retail-feast")["spec"]
    assert (cron["schedule"], cron["timeZone"], cron["suspend"]) == ("0 * * * *", "UTC", False)
    assert ("Normal", "FeaturesApplied") in {event[:2] for event in world.cluster.events}
    assert await world.round() == 0


async def test_a_job_that_its_ttl_removed_is_never_run_again() -> None:
    world = await settled(SPEC)
    for name in jobs(world):
        world.cluster.remove("Job", name)
    await world.settle()
    assert jobs(world) == []
    assert world.condition("FeaturesReady")["status"] == "True"


async def test_another_version_is_applied_and_one_that_comes_back_too() -> None:
    world = await settled(SPEC)
    first = world.versions()[0]
    world.edit(SPEC | {"training": {"seed": 1}})
    await world.settle()
    second = next(name for name in world.versions() if name != first)
    assert (status(world)["feast"]["appliedVersion"], definitions(world)["snapshot"]) == (second, second)
    world.edit(SPEC | {"training": {"seed": 1}, "rollout": {"pin": first}})
    await world.settle()
    assert (status(world)["feast"]["appliedVersion"], status(world)["feast"]["runs"]) == (first, 3)
    assert len(set(jobs(world))) == 3


async def test_other_settings_are_applied_again() -> None:
    world = await settled(SPEC)
    world.edit({"stores": {"feast": {"ttl": "1d", "schedule": {"cron": "*/5 * * * *"}}}})
    await world.settle()
    assert {view["ttlSeconds"] for view in definitions(world)["views"]} == {86400}
    assert status(world)["feast"]["runs"] == 2
    assert world.cluster.find("CronJob", "retail-feast")["spec"]["schedule"] == "*/5 * * * *"


async def test_an_increment_that_runs_is_waited_for() -> None:
    world = await settled(SPEC)
    cron = world.cluster.find("CronJob", "retail-feast")
    cron["status"] = {"active": [{"name": "x"}]}
    world.edit({"stores": {"feast": {"ttl": "1d"}}})
    await world.round()
    await world.round()
    assert len(jobs(world)) == 1
    assert world.condition("FeaturesReady")["reason"] == "Applying"
    assert world.cluster.find("CronJob", "retail-feast")["spec"]["suspend"] is True
    world.cluster.find("CronJob", "retail-feast")["status"] = {}
    await world.settle()
    assert len(jobs(world)) == 2
    assert world.cluster.find("CronJob", "retail-feast")["spec"]["suspend"] is False


@pytest.mark.parametrize(
    ("exit_code", "message", "reason", "tells"),
    [
        (3, '{"error":{"reason":"SnapshotMissing","message":"s3://x: gone"}}', "SnapshotMissing", "gone"),
        (137, "", "OutOfMemory", "spec.stores.feast.memory"),
        (1, "redis.exceptions.ConnectionError: refused", "StepFailed", "refused"),
    ],
)
async def test_a_job_that_fails_tells_why(exit_code: int, message: str, reason: str, tells: str) -> None:
    world = World(SPEC)
    await until_features_are_applied(world)
    world.finish_jobs(exit_code, "Error", message or "killed")
    await world.round()
    for type in ("FeaturesReady", "Ready"):
        assert world.condition(type)["status"] == "False"
        assert world.condition(type)["reason"] == reason
        assert tells in world.condition(type)["message"]
    assert world.condition("Stalled")["status"] == "True"
    for name in jobs(world):
        world.cluster.remove("Job", name)
    await world.settle()
    assert world.condition("FeaturesReady")["status"] == "True", "with its Job deleted it is tried again"


async def test_increments_are_told() -> None:
    world = await settled(SPEC)
    cron = world.cluster.find("CronJob", "retail-feast")
    cron["status"] = {"lastScheduleTime": "2027-01-01T01:00:00Z", "active": [{"name": "x"}]}
    await world.round()
    assert world.condition("FeaturesReady")["status"] == "True", "it is under way"
    cron["status"] = {
        "lastScheduleTime": "2027-01-01T01:00:00Z",
        "lastSuccessfulTime": "2027-01-01T01:00:09Z",
    }
    await world.round()
    assert status(world)["feast"]["materializedAt"] == "2027-01-01T01:00:09Z"
    cron["status"] |= {"lastScheduleTime": "2027-01-01T02:00:00Z"}
    await world.round()
    assert world.condition("FeaturesReady")["reason"] == "MaterializationFailed"
    assert "kubectl logs" in world.condition("FeaturesReady")["message"]
    assert world.condition("Stalled")["status"] == "False", "the next one may do"


async def test_suspended_nothing_is_begun() -> None:
    world = await settled(SPEC)
    world.edit(SPEC | {"suspend": True})
    await world.settle()
    assert world.cluster.find("CronJob", "retail-feast")["spec"]["suspend"] is True
    world.edit({"stores": {"feast": {"ttl": "1d"}}, "suspend": True})
    await world.settle()
    assert len(jobs(world)) == 1
    assert world.condition("FeaturesReady")["reason"] == "Suspended"


async def test_no_longer_declared() -> None:
    world = await settled(SPEC)
    world.edit({})
    await world.settle()
    assert world.cluster.all("CronJob") == []
    assert "feast" not in status(world)
    assert "FeaturesReady" not in {condition["type"] for condition in status(world)["conditions"]}
    assert world.condition("Ready")["status"] == "True"


async def test_rows_in_an_external_valkey_go_with_the_stack() -> None:
    world = await settled(EXTERNAL)
    stack = world.cluster.find("RecommenderStack", STACK)
    assert stack["metadata"]["finalizers"] == [names.FINALIZER]
    stack["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await world.stack()
    for pod in world.cluster.all("Pod"):
        world.cluster.remove("Pod", pod["metadata"]["name"])
    await world.stack()
    assert world.cluster.all("CronJob") == []
    await world.stack()
    assert jobs(world) == ["retail-delete-features"]
    assert "deletes the features" in world.condition("Ready")["message"]
    world.finish_jobs()
    await world.stack()
    assert world.cluster.all("RecommenderStack") == []


async def test_rows_that_cannot_be_deleted_are_told() -> None:
    world = await settled(EXTERNAL)
    world.cluster.find("RecommenderStack", STACK)["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await world.stack()
    for pod in world.cluster.all("Pod"):
        world.cluster.remove("Pod", pod["metadata"]["name"])
    for _ in range(3):
        await world.stack()
    world.finish_jobs(1)
    await world.stack()
    assert world.condition("Stalled")["reason"] == "FeaturesNotDeleted"
    assert "Retain" in world.condition("Stalled")["message"]


@pytest.mark.parametrize("spec", [SPEC, EXTERNAL | {"deletionPolicy": "Retain"}])
async def test_no_finalizer_where_none_is_needed(spec: Manifest) -> None:
    world = World(spec)
    await world.stack()
    assert not world.cluster.find("RecommenderStack", STACK)["metadata"].get("finalizers")


def served(world: World) -> list[Any]:
    """Feast's project in the settings of each rendered version."""
    found = []
    for one in world.cluster.all("ConfigMap"):
        for path, content in (one.get("binaryData") or {}).items():
            if path.endswith("settings.json"):
                found.append(json.loads(base64.b64decode(content))["feast_project"])
    return found


async def test_features_stay_online_while_another_version_is_trained() -> None:
    world = await settled(SPEC)
    first = status(world)["feast"]
    world.edit(SPEC | {"training": {"seed": 5}})
    await world.round()
    assert world.condition("ModelReady")["reason"] == "Training"
    assert world.condition("FeaturesReady")["status"] == "True"
    assert status(world)["feast"] == first


async def test_a_new_stack_answers_once_its_features_are_online() -> None:
    """Before, everybody would be unknown."""
    world = World(SPEC)
    await until_features_are_applied(world)
    world.serve()
    await world.round()
    assert world.plan.versions == ()
    await world.settle()
    assert world.plan.live == world.versions()[0]
    assert served(world) == ["recstack_shop_retail"]


async def test_pods_of_a_running_stack_are_replaced_when_its_features_are_online() -> None:
    def template(world: World) -> Any:
        return world.cluster.find("Deployment", "retail-serving")["spec"]["template"]

    world = await settled({})
    before = template(world)
    assert served(world) == [None]
    world.edit(SPEC)
    await until_features_are_applied(world)
    assert template(world) == before, "they go on with the package's users meanwhile"
    assert world.condition("FeaturesReady")["status"] == "False"
    await world.settle()
    assert template(world) != before
    assert "recstack_shop_retail" in served(world)
