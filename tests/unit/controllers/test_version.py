"""ModelVersion's reconcile: steps in order, and what becomes of each way in which one can end."""

import json
from typing import Any

import pytest
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import ClusterError, Manifest
from recstack_controllers.resources.steps import Step
from world import METRICS, SPACE, World

PLAIN: list[Step] = [step for step in Step if step not in (Step.PARENT, Step.EMBED)]
EMBEDDED = {"features": {"embeddings": [{"name": "look", "from": {"image": {"path": "pictures/{id}.jpg"}}}]}}


async def begun(spec: Manifest | None = None) -> tuple[World, str]:
    """A world whose version has its first Job; and the version's name."""
    world = World(spec or {})
    await world.round()
    (version,) = world.versions()
    return world, version


def steps(world: World, version: str) -> dict[str, str]:
    found = world.cluster.find("ModelVersion", version)["status"]["steps"]
    return {one["name"]: one["state"] for one in found}


def jobs(world: World) -> list[str]:
    return [job["metadata"]["labels"][names.STEP] for job in world.cluster.all("Job")]


async def until_job(world: World, step: Step) -> None:
    """End Jobs until ``step`` has one that runs."""
    while step.value not in jobs(world):
        world.finish_jobs()
        await world.round()


@pytest.mark.parametrize(
    ("spec", "wanted"), [({}, PLAIN), (EMBEDDED, [step for step in Step if step is not Step.PARENT])]
)
async def test_steps_run_one_after_another(spec: Manifest, wanted: list[Step]) -> None:
    world, version = await begun(spec)
    assert list(steps(world, version)) == wanted
    seen = []
    for _ in wanted:
        running = [step for step, state in steps(world, version).items() if state == "Running"]
        assert len(running) == 1
        seen += running
        world.finish_jobs()
        await world.round()
    assert seen == [step.value for step in wanted]
    assert set(steps(world, version).values()) == {"Succeeded"}


async def test_a_result_is_recorded_before_the_next_step_begins() -> None:
    world, version = await begun()
    world.finish_jobs()
    at_start: list[str] = []

    def look(manifest: Manifest) -> None:
        if manifest["kind"] == "Job":
            at_start.append(steps(world, version)["ingest"])

    world.cluster.on_apply = look
    await world.round()
    assert at_start == ["Succeeded"]


async def test_status_tells_what_steps_cost_and_what_was_measured() -> None:
    world, version = await begun()
    await world.settle()
    status = world.cluster.find("ModelVersion", version)["status"]
    assert [one["computeSeconds"] for one in status["steps"]] == [1.5] * len(PLAIN)
    assert status["metrics"] == {"recall@10": 0.2, "auc": 0.8, "ndcg@10": 0.1, "recall@10/popularity": 3.0}
    assert status["package"] == f"sha256:{version}"
    assert status["phase"] == "Live"


async def test_status_tells_what_was_encoded_beside_what_was_measured() -> None:
    world, version = await begun(EMBEDDED)
    await world.settle()
    status = world.cluster.find("ModelVersion", version)["status"]
    assert status["metrics"]["embeddings.look.missing"] == 3
    assert status["metrics"]["auc"] == METRICS["auc"]
    evaluated = next(one for one in status["conditions"] if one["type"] == "Evaluated")
    assert "auc" in evaluated["message"], "told there"
    assert "look" not in evaluated["message"], "nothing that was measured on held-out days"


async def test_a_result_that_went_with_its_pod_is_printed_again() -> None:
    world, version = await begun()
    world.finish_jobs()
    for pod in world.cluster.all("Pod"):
        world.cluster.remove("Pod", pod["metadata"]["name"])
    first = world.cluster.find("Job", f"{version}-ingest")["metadata"]["uid"]
    await world.round()
    await world.round()
    assert world.cluster.find("Job", f"{version}-ingest")["metadata"]["uid"] != first
    await world.settle()
    assert world.plan.live == version


async def test_a_result_that_nobody_can_read_names_the_image() -> None:
    world, version = await begun()
    world.finish_jobs(0, "Completed", "hello")
    await world.round()
    found = world.condition("Stalled", "ModelVersion", version)
    assert (found["status"], found["reason"]) == ("True", "ResultUnreadable")
    assert "training image of the operator's own release" in found["message"]


async def test_a_package_step_without_a_package_is_a_failure() -> None:
    world, version = await begun()
    await until_job(world, Step.PACKAGE)
    world.finish_jobs(0, "Completed", json.dumps({"step": "package", "computeSeconds": 1}))
    await world.round()
    assert steps(world, version)["package"] == "Failed"
    assert world.condition("Packaged", "ModelVersion", version)["status"] == "False"
    assert "published no package" in world.condition("Stalled", "ModelVersion", version)["message"]


ENDS: dict[str, tuple[tuple[int, str, str], str, str]] = {
    "out of memory": ((137, "OOMKilled", ""), "OutOfMemory", "more than its 6Gi of memory"),
    "out of memory, told by the exit code": ((137, "Error", ""), "OutOfMemory", "spec.training.memory"),
    "a crash": ((1, "Error", "Traceback\nValueError: no such bucket"), "StepFailed", "no such bucket"),
    "refused input that cannot be read": ((3, "Error", "?"), "BadInput", "refused its input"),
}


@pytest.mark.parametrize("case", ENDS)
async def test_an_end_is_told_with_what_to_do(case: str) -> None:
    how, reason, words = ENDS[case]
    world, version = await begun()
    world.finish_jobs(*how)
    await world.round()
    found = world.condition("Stalled", "ModelVersion", version)
    assert (found["status"], found["reason"]) == ("True", reason)
    assert words in found["message"]
    assert world.condition("Ready", "ModelVersion", version)["message"] == found["message"]
    assert steps(world, version)["ingest"] == "Failed"


async def test_an_eviction_is_told_with_its_words() -> None:
    world, version = await begun()
    world.finish_jobs(1, "Error", " ")
    for pod in world.cluster.all("Pod"):
        pod["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
    await world.round()
    found = world.condition("Stalled", "ModelVersion", version)
    assert found["reason"] == "Evicted"
    assert "The node was low on resource: memory." in found["message"]


async def test_a_reason_is_kept_when_its_pod_is_collected() -> None:
    world, version = await begun()
    world.finish_jobs(137, "OOMKilled", "Killed")
    await world.round()
    await world.stack()
    for pod in world.cluster.all("Pod"):
        world.cluster.remove("Pod", pod["metadata"]["name"])
    assert await world.round() == 0
    assert world.condition("Stalled", "ModelVersion", version)["reason"] == "OutOfMemory"


async def test_a_failure_whose_pod_nobody_saw_makes_nothing_up() -> None:
    world, version = await begun()
    world.finish_jobs(1, "Error", "x")
    for pod in world.cluster.all("Pod"):
        world.cluster.remove("Pod", pod["metadata"]["name"])
    await world.round()
    found = world.condition("Stalled", "ModelVersion", version)
    assert found["reason"] == "StepFailed"
    assert "None" not in found["message"]
    assert "its pod is gone" in found["message"]


async def test_a_failed_job_that_is_deleted_is_tried_again() -> None:
    world, version = await begun()
    await until_job(world, Step.FEATURES)
    world.finish_jobs(1, "Error", "x")
    await world.round()
    world.cluster.remove("Job", f"{version}-features")
    await world.round()
    assert steps(world, version)["ingest"] == "Succeeded"
    assert steps(world, version)["features"] == "Running"
    assert world.condition("Stalled", "ModelVersion", version)["status"] == "False"


async def test_a_job_that_finds_no_node_says_so() -> None:
    world, version = await begun()
    job = world.cluster.find("Job", f"{version}-ingest")
    world.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "pending",
                "namespace": SPACE,
                "labels": job["metadata"]["labels"],
                "ownerReferences": [{"uid": job["metadata"]["uid"]}],
            },
            "status": {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory."}
                ],
            },
        }
    )
    await world.round()
    assert "Insufficient memory" in world.condition("DataReady", "ModelVersion", version)["message"]


async def test_what_the_server_refuses_is_told() -> None:
    world = World()
    refused = ClusterError("admission webhook said no", 403, False)
    world.cluster.refuse = lambda verb, kind: refused if (verb, kind) == ("apply", "Job") else None
    await world.stack()
    (version,) = world.versions()
    outcome = await world.version(version)
    assert outcome.requeue_after is not None
    found = world.condition("Ready", "ModelVersion", version)
    assert (found["status"], found["reason"]) == ("False", "ApiRefused")
    assert "admission webhook said no" in found["message"]
    await world.stack()
    assert "admission webhook said no" in world.condition("ModelReady")["message"]
    world.cluster.refuse = lambda verb, kind: None
    await world.settle()
    assert world.plan.live == version


async def test_a_server_that_is_away_is_asked_again_and_nothing_is_told() -> None:
    world, version = await begun()
    world.cluster.refuse = lambda verb, kind: ClusterError("away", 503, True)
    with pytest.raises(ClusterError):
        await world.version(version)
    world.cluster.refuse = lambda verb, kind: None
    assert world.condition("Ready", "ModelVersion", version)["reason"] == "Training"


async def test_a_plan_that_somebody_spoiled_is_waited_for() -> None:
    world, version = await begun()
    await world.settle()
    world.cluster.find("ConfigMap", names.plan("retail"))["data"]["plan.json"] = "{"
    outcome = await world.version(version)
    assert outcome.requeue_after is not None
    assert names.plan("retail") in world.condition("Ready", "ModelVersion", version)["message"]
    await world.stack()
    assert world.condition("Stalled")["reason"] == "PlanUnreadable"


async def test_a_recipe_is_not_rewritten_by_a_later_release() -> None:
    """Its ConfigMap is immutable; a release that adds a default would be refused in mid-training."""
    world, version = await begun()
    recipe = world.cluster.find("ConfigMap", names.recipe(version))
    recipe["data"]["recipe.json"] = "as an earlier release wrote it"
    recipe["metadata"]["annotations"][names.RENDERED] = "of then"

    def immutable(manifest: Manifest) -> None:
        if manifest["metadata"]["name"] == names.recipe(version):
            assert manifest["data"] == recipe["data"]

    world.cluster.on_apply = immutable
    await world.settle()
    assert world.plan.live == version


async def test_a_version_without_its_stack_waits_for_it() -> None:
    world = World()
    world.cluster.put(
        {
            "apiVersion": "recstack.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": "early", "namespace": SPACE},
            "spec": {"stack": "later"},
        }
    )
    outcome = await world.version("early")
    assert outcome.requeue_after is not None
    found = world.condition("Ready", "ModelVersion", "early")
    assert found["reason"] == "Waiting"
    assert "There is no RecommenderStack later in shop" in found["message"]
    assert world.cluster.all("Job") == []


async def test_a_version_that_is_gone_needs_nothing() -> None:
    world = World()
    outcome = await world.version("never-was")
    assert outcome.requeue_after is None
    assert world.cluster.writes == []


async def test_a_status_written_meanwhile_is_a_conflict_not_an_overwrite() -> None:
    world, version = await begun()
    world.finish_jobs()
    found = world.cluster.find("ModelVersion", version)
    true_list = world.cluster.list

    async def meanwhile(*arguments: Any) -> list[Manifest]:
        world.cluster._touch(found)
        return await true_list(*arguments)

    world.cluster.list = meanwhile  # type: ignore[method-assign,assignment]
    with pytest.raises(ClusterError) as caught:
        await world.version(version)
    assert caught.value.status == 409
    assert jobs(world) == ["ingest"]


@pytest.mark.parametrize("step", PLAIN)
async def test_a_suspended_stack_begins_no_step_and_lets_the_one_that_runs_end(step: Step) -> None:
    world, version = await begun()
    await until_job(world, step)
    world.edit({"suspend": True})
    world.finish_jobs()
    await world.round()
    await world.round()
    assert steps(world, version)[step] == "Succeeded"
    assert len(world.cluster.all("Job")) == PLAIN.index(step) + 1
    if step is not Step.PACKAGE:
        assert world.condition("Ready", "ModelVersion", version)["reason"] == "Suspended"
    world.edit({})
    await world.settle()
    assert world.plan.live == version


@pytest.mark.parametrize(
    "how",
    [(0, "Completed", ""), (3, "Error", "x"), (137, "OOMKilled", ""), (1, "Error", "x")],
    ids=["well", "bad input", "memory", "crash"],
)
async def test_the_three_conditions_of_kstatus_agree_at_every_moment(how: tuple[int, str, str]) -> None:
    world = World()
    for _ in range(12):
        await world.round()
        for kind, name in [("RecommenderStack", "retail"), *(("ModelVersion", v) for v in world.versions())]:
            ready, moving, stalled = (
                world.condition(type, kind, name)["status"] for type in ("Ready", "Reconciling", "Stalled")
            )
            assert (ready, moving, stalled) in {
                ("True", "False", "False"),
                ("False", "True", "False"),
                ("False", "False", "True"),
            }
        world.finish_jobs(*how)
        world.serve()
