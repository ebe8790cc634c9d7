"""What people get wrong and what the cluster does to pods: each ends as a condition that says what to do."""

import copy
from typing import Any

import pytest
from recstack_demo.cluster import CommandFailed
from story import Story, compact

TINY: dict[str, Any] = {
    "data": {
        "source": {"synthetic": {"users": 100, "items": 50, "interactions": 2000, "days": 3}},
        "window": {"trainDays": 2, "evaluationDays": 1},
    },
    "models": {"retrieval": {"batchSize": 64, "epochs": 1}, "ranking": {"batchSize": 256}},
    "training": {"retries": 0},
    "serving": {"replicas": 0, "candidates": 40, "topK": 10},
}


def tiny(**changes: Any) -> dict[str, Any]:
    """A copy of the tiny spec with some of its parts replaced."""
    return copy.deepcopy(TINY) | changes


def stalled(story: Story, stack: str, seconds: float = 180) -> str:
    """Wait until the stack's version is stalled; its message."""

    def find() -> str:
        for version in story.versions(stack):
            found = story.condition("mver", version["metadata"]["name"], "Stalled")
            if found.get("status") == "True":
                return f"{found['reason']}: {found['message']}"
        return ""

    return str(story.until(f"the version of {stack} is stalled", find, seconds))


def test_the_api_server_refuses_what_cannot_be(story: Story) -> None:
    unknown = tiny(features={"user": [{"name": "user_id", "column": "user_id", "ops": [{"op": "Hash"}]}]})
    with pytest.raises(CommandFailed, match=r'Unsupported value: "Hash"'):
        story.stack("refused", unknown)
    with pytest.raises(CommandFailed, match="topK must not be more than candidates"):
        story.stack("refused", tiny(serving={"candidates": 10, "topK": 20}))
    assert story.get("rstack")["items"] == []


def test_wrong_column(story: Story) -> None:
    spec = tiny()
    spec["data"]["tables"] = {"interactions": {"user": "customer"}}
    story.stack("column", spec)
    message = stalled(story, "column")
    story.tell(message)
    version = story.versions("column")[0]["metadata"]["name"]
    found = story.condition("mver", version, "DataReady")
    assert found["status"] == "False"
    assert found["reason"] == "MissingColumn"
    assert "day_00.parquet" in found["message"]
    assert "customer" in found["message"]
    stack = story.condition("rstack", "column", "Ready")
    assert stack["status"] == "False"
    assert story.get("rstack", "column")["status"].get("liveVersion") is None


def test_out_of_memory(story: Story) -> None:
    story.stack("memory", tiny(training={"retries": 0, "memory": "90Mi"}))
    message = stalled(story, "memory")
    story.tell(message)
    assert message.startswith("OutOfMemory")
    assert "spec.training.memory" in message


def test_killed_training_pod_is_not_the_end_and_packages_are_retained(story: Story) -> None:
    story.stack("evicted", tiny(deletionPolicy="Retain"))

    def running() -> str:
        pods = story.get("pods", "-l", "recstack.dev/stack=evicted,recstack.dev/step")["items"]
        names = [p["metadata"]["name"] for p in pods if p["status"]["phase"] == "Running"]
        return names[0] if names else ""

    pod = story.until("a step's pod runs", running, 120)
    story.tell(f"evict {pod}")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{story.namespace}/pods/{pod}/eviction"
    story.kube("create", "--raw", path, "-f", "-", stdin=compact(eviction))
    story.until(
        "the version is packaged all the same",
        lambda: story.is_true("mver", story.versions("evicted")[0]["metadata"]["name"], "Packaged"),
        300,
    )
    story.tell("delete the stack, whose packages are to stay")
    story.kube("delete", "rstack", "evicted")
    story.until("its pods are gone", lambda: story.get("pods")["items"] == [], 120)
    left = {claim["metadata"]["name"] for claim in story.get("pvc")["items"]}
    assert "evicted-artifacts" in left
    assert "evicted-work" not in left
