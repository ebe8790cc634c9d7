"""Ways in for a version, on a cluster that is asked all the time.

Mirrored, with an operator that NVTabular runs beside the models; at once; and by a pod more, where memory is
for one version only.
"""

import json
from typing import Any

import pytest
from recstack_demo.cluster import CommandFailed
from story import SMALL, Story

from benchmarks.swap.load import FAILED, MIXED, WELL

STACK = "corner"
SPEC = SMALL | {"serving": SMALL["serving"] | {"replicas": 2}}
USER = [
    {"name": "user_id", "column": "user_id", "ops": [{"op": "Categorify"}]},
    {"name": "gender", "column": "gender", "ops": [{"op": "Categorify"}]},
    {"name": "age_root", "column": "age", "ops": [{"op": "LambdaOp", "function": "numpy:cbrt"}]},
]
SHADOW = {
    "strategy": {"type": "Shadow", "shadow": {"fraction": 1.0, "duration": "5s"}},
    "soak": {"duration": "5s", "minRequests": 50, "maxErrorRate": 0.01},
}


def test_rollouts(story: Story) -> None:
    story.stack(STACK, SPEC)
    story.ready(STACK)
    (first,) = names(story)
    with story.load(STACK, 30) as end:
        second = it_is_mirrored_first(story)
        third = nvtabular_goes_with_it(story)
        fourth = it_comes_by_a_pod_more(story)
        seen = end()
    judge(story, seen, [first, second, third, fourth])
    story.gone(STACK)


def names(story: Story) -> list[str]:
    """Of the versions, oldest first."""
    return [str(one["metadata"]["name"]) for one in story.versions(STACK)]


def another(story: Story, spec: dict[str, Any]) -> str:
    """Patch the stack; gives the name of the version that it makes."""
    known = len(names(story))
    story.patch(STACK, spec)
    story.until("a version is made", lambda: len(names(story)) > known, 20)
    return names(story)[-1]


def rollout(story: Story) -> dict[str, Any]:
    """Of the stack's status."""
    return dict(story.get("rstack", STACK)["status"].get("rollout") or {})


def pods(story: Story) -> list[dict[str, Any]]:
    """Serving pods that are to stay."""
    labels = f"recstack.dev/stack={STACK},app.kubernetes.io/component=serving"
    return [pod for pod in story.get("pods", "-l", labels)["items"] if stays(pod)]


def pod_names(story: Story) -> set[str]:
    """Of those."""
    return {pod["metadata"]["name"] for pod in pods(story)}


def containers(story: Story) -> set[tuple[str, ...]]:
    """Of the serving pods."""
    return {tuple(one["name"] for one in pod["spec"]["containers"]) for pod in pods(story)}


def stays(pod: dict[str, Any]) -> bool:
    """Whether nobody deletes it."""
    return "deletionTimestamp" not in pod["metadata"]


def answers(story: Story, version: str) -> None:
    """Wait until it does, alone."""
    story.until(f"{version} answers", lambda: story.live(STACK) == version, 300)
    story.ready(STACK, 180)


def it_is_mirrored_first(story: Story) -> str:
    """A shadow whose package needs NVTabular: pods get it before they load it."""
    version = another(story, {"features": {"user": USER}, "rollout": SHADOW})
    phases: list[str] = []

    def mirrored() -> bool:
        phases.append(rollout(story).get("phase", ""))
        return phases[-1] == "Shadow"

    story.until("it is mirrored", mirrored, 300)
    story.tell(rollout(story)["message"])
    compiled = story.condition("mver", version, "Compiled")
    story.tell(compiled["message"])
    assert (compiled["status"], compiled["reason"]) == ("False", "NVTabular")
    assert "age_root (LambdaOp numpy:cbrt)" in compiled["message"]
    assert containers(story) == {("triton", "gateway", "nvtabular")}
    only_the_gateway_has_a_token(story)
    answers(story, version)
    assert rollout(story)["phase"] == "Completed"
    return version


def only_the_gateway_has_a_token(story: Story) -> None:
    """Models and functions of a bundle run beside it, and have nothing to ask the API server for."""
    pod = pods(story)[0]["metadata"]["name"]
    look = ("--", "ls", "-d", "/var/run/secrets/kubernetes.io/serviceaccount/token")
    story.kube("exec", pod, "-c", "gateway", *look)
    for container in ("triton", "nvtabular"):
        with pytest.raises(CommandFailed, match="No such file"):
            story.kube("exec", pod, "-c", container, *look)


def nvtabular_goes_with_it(story: Story) -> str:
    """Once another version has taken its place and it is not kept."""
    at_once = {"strategy": None, "soak": None, "keepLoaded": 0}
    # Another seed, or it would be the first version again.
    version = another(story, {"features": {"user": None}, "training": {"seed": 3}, "rollout": at_once})
    answers(story, version)
    story.until("NVTabular is gone", lambda: containers(story) == {("triton", "gateway")}, 120)
    story.ready(STACK, 120)
    return version


def it_comes_by_a_pod_more(story: Story) -> str:
    """Pods get memory for a version and a half, so no other fits beside the one that answers."""
    limit, before = for_one_and_a_half(story), pod_names(story)
    story.patch(STACK, {"serving": {"memory": f"{limit}Mi"}})
    story.until("pods are replaced", lambda: not before & pod_names(story), 180)
    story.ready(STACK, 120)
    version = another(story, {"training": {"seed": 4}, "rollout": {"memoryFallback": "Surge"}})
    told: list[str] = []
    most = 0

    def answering() -> bool:
        nonlocal most
        most = max(most, len(pods(story)))
        found = story.condition("mver", version, "Loaded").get("message", "")
        if found not in told:
            told.append(found)
        return story.live(STACK) == version

    story.until(f"{version} answers", answering, 300)
    assert any("pods are replaced one by one" in one for one in told), told
    assert most == SPEC["serving"]["replicas"] + 1
    story.ready(STACK, 180)
    return version


def for_one_and_a_half(story: Story) -> int:
    """Mi: what pods with one version use, and half of what that version holds for itself."""
    read = ("-c", "gateway", "--", "cat", "/models/memory.json")
    found = [json.loads(story.kube("exec", pod["metadata"]["name"], *read)) for pod in pods(story)]
    story.tell(f"memory: {json.dumps(found)}")
    return int(max(one["used"] + sum(one["versions"].values()) / 2 for one in found) / 2**20)


def judge(story: Story, seen: dict[str, Any], versions: list[str]) -> None:
    """No request failed or was mixed, and the versions answered one after the other."""
    requests = sorted(seen["requests"])
    story.tell(f"{len(requests)} requests; errors {seen['errors']}; {seen['alike']} people answered alike")
    assert [one for one in requests if one[2] in (FAILED, MIXED)] == []
    assert all(one[2] == WELL for one in requests)
    order = list(dict.fromkeys(one[3] for one in requests))
    assert order == versions
