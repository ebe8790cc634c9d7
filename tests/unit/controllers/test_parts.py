"""RecommenderStack's reconcile, part by part: Valkey, pods, autoscaler, history, the end of a stack."""

import base64

import pytest
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from world import SPACE, STACK, World

S3: Manifest = {"bucket": "shop", "endpoint": "http://s3:9000", "secretName": "keys"}
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


async def settled(spec: Manifest | None = None) -> World:
    world = World(spec or {})
    world.secret("keys", *KEYS)
    await world.settle()
    return world


def url(world: World) -> str:
    return base64.b64decode(world.cluster.find("Secret", "retail-valkey")["data"]["url"]).decode()


# Valkey


async def test_a_valkey_of_yours_takes_the_place_of_the_managed_one() -> None:
    world = await settled()
    world.secret("login", "username", "password")
    external = {"host": "cache.example", "port": 6380, "tls": True, "secretName": "login"}
    world.edit({"stores": {"valkey": {"external": external}}})
    await world.settle()
    assert url(world) == "valkeys://x:x@cache.example:6380/0"
    for kind in ("StatefulSet", "Service", "NetworkPolicy"):
        assert "retail-valkey" not in {one["metadata"]["name"] for one in world.cluster.all(kind)}
    assert world.condition("StoresReady")["reason"] == "External"
    assert world.condition("Ready")["status"] == "True"


async def test_a_password_that_changed_replaces_the_pods() -> None:
    world = World({"stores": {"valkey": {"external": {"host": "v", "secretName": "login"}}}})
    world.secret("login", "username", "password")
    await world.settle()
    before = world.cluster.find("Deployment", "retail-serving")["spec"]["template"]
    world.cluster.find("Secret", "login")["data"]["password"] = base64.b64encode(b"new").decode()
    await world.settle()
    assert url(world) == "valkey://x:new@v:6379/0"
    assert world.cluster.find("Deployment", "retail-serving")["spec"]["template"] != before


async def test_a_stack_that_rests_is_looked_at_now_and_then_as_secrets_are_not_watched() -> None:
    world = await settled()
    outcome = await world.stack()
    assert outcome.requeue_after is not None
    assert 60 <= outcome.requeue_after <= 300


async def test_nothing_of_others_is_deleted() -> None:
    """A StatefulSet that happens to have the name is not the stack's."""
    world = World({"stores": {"valkey": {"external": {"host": "v"}}}})
    metadata = {"name": "retail-valkey", "namespace": SPACE}
    world.cluster.put({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": {}})
    await world.settle()
    assert len(world.cluster.all("StatefulSet")) == 1


async def test_a_valkey_that_is_down_is_told_and_nothing_is_undone() -> None:
    world = await settled()
    live = world.plan
    world.cluster.find("StatefulSet", "retail-valkey")["status"] = {}
    await world.round()
    assert world.condition("StoresReady")["reason"] == "ValkeyStarting"
    assert world.condition("Ready")["status"] == "False"
    assert world.condition("ServingReady")["status"] == "True"
    assert world.plan == live


# Pods


def waiting(reason: str, message: str = "", ended: Manifest | None = None) -> Manifest:
    state: Manifest = {"name": "triton", "state": {"waiting": {"reason": reason, "message": message}}}
    if ended:
        state["lastState"] = {"terminated": ended}
    return {"containerStatuses": [state]}


TROUBLE: dict[str, tuple[Manifest, tuple[str, ...]]] = {
    "no node": (
        {
            "conditions": [
                {"type": "PodScheduled", "status": "False", "message": "Insufficient nvidia.com/gpu"}
            ]
        },
        ("no node has room", "Insufficient nvidia.com/gpu"),
    ),
    "image": (waiting("ImagePullBackOff", "manifest unknown"), ("triton", "manifest unknown")),
    "memory": (
        waiting("CrashLoopBackOff", "", {"reason": "OOMKilled", "exitCode": 137}),
        ("OOMKilled", "Raise spec.serving.memory"),
    ),
    "crash": (
        waiting("CrashLoopBackOff", "", {"reason": "Error", "exitCode": 2}),
        ("exit code 2", "kubectl logs pod-1 -c triton --previous"),
    ),
}


@pytest.mark.parametrize("case", TROUBLE)
async def test_pods_that_cannot_start_are_told_with_what_to_do(case: str) -> None:
    status, words = TROUBLE[case]
    world = World()
    await world.stack()
    world.pod(1)
    world.cluster.find("Pod", "pod-1")["status"] = {"phase": "Pending"} | status
    await world.stack()
    found = world.condition("ServingReady")
    assert (found["status"], found["reason"]) == ("False", "PodsCannotStart")
    for word in words:
        assert word in found["message"]


async def test_killed_pods_are_told_and_the_plan_stays_for_those_that_follow() -> None:
    world = await settled({"serving": {"replicas": 2}})
    plan = world.plan
    for number in (1, 2):
        world.kill(number)
    deployment = world.cluster.find("Deployment", "retail-serving")
    deployment["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    await world.round()
    assert world.condition("ServingReady")["message"] == ("0 of 2 pods are ready with the current settings.")
    assert world.condition("ModelReady")["status"] == "True"
    assert world.plan == plan
    await world.settle()
    assert world.condition("Ready")["status"] == "True"


async def test_other_serving_settings_need_no_training() -> None:
    world = await settled()
    versions, before = world.versions(), world.plan
    world.edit({"serving": {"topK": 10}})
    await world.settle()
    assert world.versions() == versions
    assert world.plan.live == before.live
    assert world.plan.versions[0].digest == before.versions[0].digest
    assert world.plan.versions[0].repo != before.versions[0].repo
    repositories = [one for one in world.cluster.all("ConfigMap") if "-repo-" in one["metadata"]["name"]]
    assert [one["metadata"]["name"] for one in repositories] == [world.plan.versions[0].repo]


async def test_a_pod_that_joins_late_must_prove_a_candidate_too() -> None:
    world = await settled()
    old = world.plan.live
    world.edit({"training": {"seed": 1}})
    while len(world.plan.versions) < 2:
        world.finish_jobs()
        await world.round()
    world.report(1)
    world.pod(2)
    await world.round()
    assert world.plan.live == old
    assert "pod pod-2 has not seen it yet" in world.condition("ModelReady")["message"]
    world.report(2)
    await world.round()
    assert world.plan.live != old


async def test_a_pod_with_another_package_has_not_proven_this_one() -> None:
    world = await settled()
    old = world.plan.live
    world.edit({"training": {"seed": 1}})
    while len(world.plan.versions) < 2:
        world.finish_jobs()
        await world.round()
    new = next(one.name for one in world.plan.versions if one.name != old)
    world.report(1)
    world.cluster.answers[world.url(1)][new]["digest"] = "sha256:other"
    await world.round()
    assert world.plan.live == old
    assert "holds another package, sha256:other" in world.condition("ModelReady")["message"]


@pytest.mark.parametrize("answer", [None, ["no"], {"v": {"status": "?"}}])
async def test_a_pod_that_does_not_answer_well_proves_nothing(answer: object) -> None:
    world = World()
    await world.stack()
    world.pod(1)
    if answer is None:
        del world.cluster.answers[world.url(1)]
    else:
        world.cluster.answers[world.url(1)] = answer
    while not world.plan.versions:
        world.finish_jobs()
        await world.round()
    await world.round()
    assert world.plan.live is None
    assert "pod pod-1 does not answer yet" in world.condition("ModelReady")["message"]


# Autoscaler


@pytest.mark.parametrize(
    ("conditions", "status", "words"),
    [
        (
            [
                {"type": "AbleToScale", "status": "True"},
                {"type": "ScalingActive", "status": "False", "reason": "FailedGetPodsMetric", "message": "m"},
            ],
            "False",
            "Is a metrics adapter installed",
        ),
        (
            [{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": "True"}],
            "True",
            "reads its metric",
        ),
    ],
)
async def test_the_autoscalers_own_words_decide(conditions: list[Manifest], status: str, words: str) -> None:
    world = World({"autoscaling": {}})
    await world.stack()
    world.cluster.find("HorizontalPodAutoscaler", "retail-serving")["status"] = {"conditions": conditions}
    await world.stack()
    found = world.condition("AutoscalingReady")
    assert found["status"] == status
    assert words in found["message"]


# Versions


async def test_history_never_deletes_what_is_live_loading_or_draining() -> None:
    world = await settled({"rollout": {"historyLimit": 1, "keepLoaded": 0}})
    first = world.plan.live or ""
    for seed in (1, 2, 3):
        world.edit({"rollout": {"historyLimit": 1, "keepLoaded": 0}, "training": {"seed": seed}})
        while world.wanted() not in {one.name for one in world.plan.versions}:
            world.cluster.clock.forward(5)
            world.finish_jobs()
            await world.round()
            assert first in world.versions()
        for name in [one.name for one in world.plan.versions]:
            world.report(1, "Loading", name)  # held by the pod, never proven
    assert world.plan.live == first
    assert {one.name for one in world.plan.versions} | set(world.plan.drain) <= set(world.versions())
    world.report(1)
    await world.round()
    assert world.plan.live == world.wanted()
    assert first in world.plan.drain
    await world.round()
    assert first in world.versions()


async def test_a_live_version_that_is_deleted_serves_on() -> None:
    world = await settled()
    plan = world.plan
    world.cluster.remove("ModelVersion", plan.live or "")
    await world.stack()
    assert world.plan == plan
    assert ("ConfigMap", SPACE, plan.versions[0].repo) in world.cluster.objects
    await world.settle()
    assert world.plan.live == plan.live
    assert world.condition("Ready")["status"] == "True"


async def test_a_plan_that_is_deleted_is_made_anew_without_training() -> None:
    world = await settled()
    before, versions = world.plan, world.versions()
    world.cluster.remove("ConfigMap", names.plan(STACK))
    await world.settle()
    assert world.plan.live == before.live
    assert world.versions() == versions


async def test_a_version_of_another_stack_is_none_of_its_business() -> None:
    world = await settled()
    other = {
        "apiVersion": "recstack.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "theirs", "namespace": SPACE},
        "spec": {"stack": "other"},
    }
    world.cluster.put(other)
    before = world.plan
    await world.stack()
    assert world.plan == before


# The end


def deleted(world: World) -> None:
    """A person deletes the stack."""
    world.cluster.find("RecommenderStack", STACK)["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"


def no_training_pods(world: World) -> None:
    for pod in world.cluster.all("Pod"):
        if names.STEP in pod["metadata"]["labels"]:
            world.cluster.remove("Pod", pod["metadata"]["name"])


@pytest.mark.parametrize(
    ("artifacts", "held"),
    [({"s3": S3}, True), ({"volume": {"claimName": "mine"}}, True), ({"volume": {}}, False), ({}, False)],
)
async def test_only_packages_that_nothing_else_deletes_hold_a_stack(artifacts: Manifest, held: bool) -> None:
    world = await settled({"stores": {"artifacts": artifacts}})
    found = world.cluster.find("RecommenderStack", STACK)["metadata"].get("finalizers") or []
    assert found == ([names.FINALIZER] if held else [])


async def test_a_stack_that_is_to_keep_its_packages_after_all_is_let_go() -> None:
    world = await settled({"stores": {"artifacts": {"s3": S3}}})
    world.edit({"stores": {"artifacts": {"s3": S3}}, "deletionPolicy": "Retain"})
    await world.stack()
    assert not world.cluster.find("RecommenderStack", STACK)["metadata"].get("finalizers")


async def test_packages_are_deleted_only_after_training_has_stopped() -> None:
    world = World({"stores": {"artifacts": {"s3": S3}}})
    world.secret("keys", *KEYS)
    await world.round()
    world.finish_jobs()
    deleted(world)
    await world.stack()
    await world.stack()
    assert world.versions() == []
    assert world.cluster.all("RecommenderStack") != []
    no_training_pods(world)
    await world.stack()
    assert [job["metadata"]["name"] for job in world.cluster.all("Job")] == ["retail-delete-packages"]


async def test_looks_at_the_data_do_not_hold_a_stack() -> None:
    """Their Jobs are no version's, and stay a day."""
    world = await settled(
        {"stores": {"artifacts": {"s3": S3}}, "training": {"triggers": {"newData": {"every": "1m"}}}}
    )
    assert [name for job in world.cluster.all("Job") if "-check-" in (name := job["metadata"]["name"])]
    deleted(world)
    await world.stack()
    no_training_pods(world)
    await world.stack()
    assert [job["metadata"]["name"] for job in world.cluster.all("Job")] == ["retail-delete-packages"]


async def test_a_stack_whose_namespace_goes_is_let_go() -> None:
    """Nothing can be made there any more: the Secret is gone, and no Job could delete the packages."""
    world = await settled({"stores": {"artifacts": {"s3": S3}}})
    metadata = {"name": "shop", "namespace": ""}
    world.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    deleted(world)
    world.cluster.remove("Secret", "keys")
    no_training_pods(world)
    await world.stack()
    assert world.cluster.all("RecommenderStack") != []
    goes = world.cluster.find("Namespace", "shop", "")
    goes["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await world.stack()
    assert not any(one["metadata"].get("finalizers") for one in world.cluster.all("RecommenderStack"))
    assert world.cluster.all("Job") == []


async def test_packages_that_cannot_be_deleted_hold_the_stack_and_say_so() -> None:
    world = await settled({"stores": {"artifacts": {"s3": S3}}})
    deleted(world)
    await world.stack()
    no_training_pods(world)
    await world.stack()
    world.finish_jobs(1, "Error", "no such bucket")
    await world.stack()
    found = world.condition("Stalled")
    assert (found["status"], found["reason"]) == ("True", "PackagesNotDeleted")
    assert "kubectl logs job/retail-delete-packages" in found["message"]
    world.cluster.remove("Job", "retail-delete-packages")
    await world.stack()
    world.finish_jobs()
    await world.stack()
    assert world.cluster.all("RecommenderStack") == []


async def test_a_stack_of_volumes_goes_at_once() -> None:
    world = await settled()
    deleted(world)
    before = len(world.cluster.writes)
    outcome = await world.stack()
    assert outcome.requeue_after is None
    assert all(kind != "Job" for _, kind, _ in world.cluster.writes[before:])


async def test_without_the_secret_the_packages_wait_and_say_for_what() -> None:
    world = await settled({"stores": {"artifacts": {"s3": S3}}})
    deleted(world)
    await world.stack()
    no_training_pods(world)
    world.cluster.remove("Secret", "keys")
    outcome = await world.stack()
    assert outcome.requeue_after is not None
    assert world.condition("Ready")["reason"] == "SecretMissing"
    assert "Secret keys" in world.condition("Ready")["message"]
