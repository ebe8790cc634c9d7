"""RecommenderStack's reconcile: what happens when, told as a story each."""

import base64

import pytest
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import ClusterError, Manifest
from world import SPACE, STACK, World

S3: Manifest = {"bucket": "shop", "endpoint": "http://s3:9000", "secretName": "keys"}
WEIGHTS_IN_S3: Manifest = {
    "name": "words",
    "from": {"text": {"column": "title"}},
    "encoder": {"weights": {"s3": S3}},
}
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


async def settled(spec: Manifest | None = None) -> World:
    world = World(spec or {})
    await world.settle()
    return world


async def test_an_empty_spec_becomes_a_live_recommender() -> None:
    world = await settled()
    (version,) = world.versions()
    status = world.cluster.find("RecommenderStack", STACK)["status"]
    assert world.condition("Ready")["status"] == "True"
    assert status["liveVersion"] == version == world.plan.live
    assert (status["replicas"], status["readyReplicas"], status["phase"]) == (1, 1, "Ready")
    assert status["endpoint"] == "http://retail.shop.svc:8080"
    assert status["observedGeneration"] == 1
    assert world.condition("Live", "ModelVersion", version)["status"] == "True"
    assert ("Normal", "Live") in {event[:2] for event in world.cluster.events}


async def test_a_settled_stack_costs_no_write() -> None:
    world = await settled()
    assert await world.round() == 0


async def test_the_password_stays() -> None:
    world = World()
    await world.stack()
    first = world.cluster.find("Secret", "retail-valkey")["data"]
    await world.settle()
    assert world.cluster.find("Secret", "retail-valkey")["data"] == first
    assert len(base64.b64decode(first["password"])) >= 24


async def test_no_pod_no_live_version() -> None:
    world = World()
    for _ in range(12):
        await world.round()
        world.finish_jobs()
    assert world.plan.live is None
    assert [one.digest for one in world.plan.versions] == [f"sha256:{world.versions()[0]}"]
    assert world.condition("ModelReady")["reason"] == "Loading"
    assert "no serving pod runs yet" in world.condition("ModelReady")["message"]


async def test_one_pod_that_cannot_load_it_keeps_the_old_version_live() -> None:
    world = await settled({"serving": {"replicas": 2}})
    old = world.plan.live
    world.edit({"serving": {"replicas": 2}, "training": {"seed": 1}})
    for _ in range(14):
        await world.round()
        world.finish_jobs()
    new = next(name for name in world.versions() if name != old)
    world.report(1, "Proven", new)
    world.report(2, "Failed", new)
    await world.round()
    assert world.plan.live == old
    assert world.condition("ModelReady")["reason"] == "LoadFailed"
    assert f"Version {old} answers meanwhile." in world.condition("ModelReady")["message"]
    assert world.condition("Loaded", "ModelVersion", new)["reason"] == "LoadFailed"
    world.report(2, "Proven", new)
    await world.settle()
    assert world.plan.live == new


async def test_the_old_version_drains_before_it_is_dropped() -> None:
    world = await settled()
    old = world.plan.live
    world.edit({"training": {"seed": 1}, "rollout": {"keepLoaded": 0}})
    for _ in range(14):
        await world.round()
        world.finish_jobs()
    new = next(name for name in world.versions() if name != old)
    world.report(1, "Proven", new)
    await world.round()
    assert (world.plan.live, world.plan.drain) == (new, (old,))
    await world.round()  # the pod still holds it
    assert list(world.plan.drain) == [old]
    world.report(1)
    await world.round()
    assert not world.plan.drain


async def test_a_gate_that_is_missed_stalls_and_serves_nothing() -> None:
    world = await settled({"evaluation": {"gates": [{"metric": "auc", "min": 0.99}]}})
    assert world.plan.live is None
    assert world.plan.versions == ()
    assert world.condition("Stalled")["status"] == "True"
    assert world.condition("Ready")["reason"] == "GateMissed"
    assert "auc is 0.8, below its gate of 0.99" in world.condition("Ready")["message"]


async def test_running_out_of_memory_says_what_to_raise() -> None:
    world = World()
    await world.round()
    world.finish_jobs(137, "OOMKilled", "Killed")
    await world.settle()
    assert world.condition("Stalled")["reason"] == "OutOfMemory"
    assert "raise spec.training.memory" in world.condition("Stalled")["message"]
    assert world.condition("Reconciling")["status"] == "False"
    world.edit({"training": {"memory": "12Gi"}})
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Stalled")["status"] == "False"


async def test_bad_data_names_file_and_column() -> None:
    world = World()
    await world.round()
    error = (
        '{"error":{"reason":"MissingColumn","message":"expected an integer","file":"a","column":"user_id"}}'
    )
    world.finish_jobs(3, "Error", error)
    await world.settle()
    (version,) = world.versions()
    found = world.condition("DataReady", "ModelVersion", version)
    assert (found["status"], found["reason"]) == ("False", "MissingColumn")
    assert "file a, column user_id" in found["message"]
    assert world.condition("Ready")["reason"] == "MissingColumn"


async def test_spec_changed_while_training_stops_the_old_training() -> None:
    world = World()
    await world.round()
    (old,) = world.versions()
    assert [job["metadata"]["name"] for job in world.cluster.all("Job")] == [f"{old}-ingest"]
    world.edit({"training": {"seed": 1}})
    await world.round()
    assert not [job for job in world.cluster.all("Job") if old in job["metadata"]["name"]]
    assert world.condition("Ready", "ModelVersion", old)["reason"] == "Superseded"
    await world.settle()
    assert world.plan.live != old
    assert world.condition("Ready")["status"] == "True"


async def test_a_live_version_that_was_deleted_is_not_trained_again_for_another_recipe() -> None:
    world = await settled({})
    (old,) = world.versions()
    world.cluster.remove("ModelVersion", old)
    await world.round()
    await world.round()
    assert f"{old}-ingest" in [job["metadata"]["name"] for job in world.cluster.all("Job")]
    world.edit({"training": {"seed": 1}})
    await world.round()
    await world.round()
    assert not [job for job in world.cluster.all("Job") if old in job["metadata"]["name"]]
    assert world.plan.live == old
    await world.settle()
    assert world.plan.live not in (None, old)
    assert world.condition("Ready")["status"] == "True"


async def test_a_spec_that_changes_back_goes_on_where_it_stopped() -> None:
    world = World()
    await world.round()
    (old,) = world.versions()
    world.finish_jobs()
    await world.round()  # ingest is done
    world.edit({"training": {"seed": 1}})
    await world.round()
    world.edit({})
    await world.round()
    steps = {one["name"]: one["state"] for one in world.cluster.find("ModelVersion", old)["status"]["steps"]}
    assert (steps["ingest"], steps["features"]) == ("Succeeded", "Running")
    await world.settle()
    assert world.plan.live == old


@pytest.mark.parametrize(
    ("spec", "secret", "keys", "part"),
    [
        ({"stores": {"artifacts": {"s3": S3}}}, "keys", KEYS, "StoresReady"),
        ({"data": {"source": {"s3": S3}}}, "keys", KEYS, "ModelReady"),
        ({"features": {"embeddings": [WEIGHTS_IN_S3]}}, "keys", KEYS, "ModelReady"),
        (
            {"stores": {"valkey": {"external": {"host": "v", "secretName": "login"}}}},
            "login",
            ("username", "password"),
            "StoresReady",
        ),
    ],
)
async def test_a_missing_secret_is_waited_for(
    spec: Manifest, secret: str, keys: tuple[str, str], part: str
) -> None:
    world = World(spec)
    outcome = await world.stack()
    assert outcome.requeue_after is not None
    assert world.condition(part)["reason"] == "SecretMissing"
    assert world.condition("Ready")["reason"] == "SecretMissing"
    assert f"Secret {secret}" in world.condition(part)["message"]
    assert world.versions() == []
    world.secret(secret, keys[0])
    await world.stack()
    assert keys[1] in world.condition(part)["message"]
    world.secret(secret, *keys)
    await world.settle()
    assert world.condition("Ready")["status"] == "True"


async def test_a_stored_object_that_does_not_validate_is_stalled_not_a_crash() -> None:
    world = await settled()
    world.edit({"serving": {"replicas": "many"}})
    outcome = await world.stack()
    assert outcome.requeue_after is None
    assert world.condition("Stalled")["reason"] == "InvalidSpec"
    assert "spec.serving.replicas" in world.condition("Stalled")["message"]
    assert world.condition("Ready")["observedGeneration"] == 2
    assert world.plan.live is not None


async def test_an_invalid_version_is_stalled_and_bothers_nobody() -> None:
    world = await settled()
    world.cluster.put(
        {
            "apiVersion": "recstack.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": "odd", "namespace": SPACE},
            "spec": {"stack": STACK, "kind": "Magic"},
        }
    )
    await world.settle()
    assert world.condition("Stalled", "ModelVersion", "odd")["reason"] == "InvalidSpec"
    assert world.condition("Ready")["status"] == "True"


async def test_suspend_starts_nothing_and_serves_on() -> None:
    world = await settled()
    live = world.plan.live
    world.edit({"suspend": True, "training": {"seed": 1}})
    await world.settle()
    assert world.versions() == [live]
    assert world.condition("ModelReady")["reason"] == "Suspended"
    assert world.condition("ServingReady")["status"] == "True"
    world.edit({"training": {"seed": 1}})
    await world.settle()
    assert world.plan.live != live


async def test_an_autoscaler_owns_the_number_of_pods() -> None:
    world = await settled({"serving": {"replicas": 2}, "autoscaling": {}})
    assert "replicas" not in world.cluster.find("Deployment", "retail-serving")["spec"]
    assert world.condition("AutoscalingReady")["reason"] == "Pending"
    world.edit({"serving": {"replicas": 2}})
    await world.settle()
    assert world.cluster.all("HorizontalPodAutoscaler") == []
    assert world.condition("AutoscalingReady") == {}
    assert world.cluster.find("Deployment", "retail-serving")["spec"]["replicas"] == 2


@pytest.mark.parametrize("keep", [0, 1])
async def test_history_keeps_the_newest_and_the_live_one(keep: int) -> None:
    world = await settled({"rollout": {"historyLimit": 1, "keepLoaded": keep}})
    for seed in range(3):
        world.edit({"rollout": {"historyLimit": 1, "keepLoaded": keep}, "training": {"seed": seed}})
        await world.settle()
    assert len(world.versions()) == 2
    assert world.plan.live in world.versions()
    assert len(world.plan.versions) == 1 + keep
    repositories = [one["metadata"]["name"] for one in world.cluster.all("ConfigMap")]
    assert sum("-repo-" in name for name in repositories) == 1 + keep


async def test_a_persons_version_waits_for_its_promotion() -> None:
    world = await settled()
    own = world.plan.live
    mine: Manifest = {
        "apiVersion": "recstack.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "by-hand", "namespace": SPACE},
        "spec": {"stack": STACK, "promote": "Manual"},
    }
    world.cluster.clock.forward(60)
    world.cluster.put(mine)
    await world.settle()
    assert world.plan.live == own
    assert world.condition("Loaded", "ModelVersion", "by-hand")["reason"] == "AwaitsPromotion"
    world.cluster.find("ModelVersion", "by-hand")["metadata"]["annotations"] = {names.PROMOTE: "true"}
    await world.settle()
    assert world.plan.live == "by-hand"
    assert world.condition("Ready")["status"] == "True"


async def test_deleting_the_stack_deletes_packages_in_s3_first() -> None:
    world = World({"stores": {"artifacts": {"s3": S3}}})
    world.secret("keys", *KEYS)
    await world.settle()
    stack = world.cluster.find("RecommenderStack", STACK)
    assert stack["metadata"]["finalizers"] == [names.FINALIZER]
    stack["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await world.stack()
    assert world.condition("Ready")["reason"] == "Deleting"
    for job in world.cluster.all("Pod"):
        if names.STEP in job["metadata"]["labels"]:
            world.cluster.remove("Pod", job["metadata"]["name"])
    await world.stack()
    assert [job["metadata"]["name"] for job in world.cluster.all("Job")] == ["retail-delete-packages"]
    world.finish_jobs()
    await world.stack()
    assert world.cluster.all("RecommenderStack") == []


async def test_retained_packages_need_no_finalizer() -> None:
    world = World({"stores": {"artifacts": {"s3": S3}}, "deletionPolicy": "Retain"})
    world.secret("keys", *KEYS)
    await world.stack()
    assert not world.cluster.find("RecommenderStack", STACK)["metadata"].get("finalizers")


async def test_what_the_server_refuses_is_told() -> None:
    world = World()
    refused = ClusterError("exceeded quota: pods", 403, False)
    world.cluster.refuse = lambda verb, kind: refused if (verb, kind) == ("apply", "Deployment") else None
    outcome = await world.stack()
    assert outcome.requeue_after is not None
    assert world.condition("Ready")["reason"] == "ApiRefused"
    assert "exceeded quota" in world.condition("Ready")["message"]
