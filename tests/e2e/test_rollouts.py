"""A version that is mirrored before it answers, with an operator that NVTabular runs beside the models; one
that needs neither takes its place. The cluster is asked all the time."""

import json
from typing import Any

from story import Story

from benchmarks.swap.load import FAILED, MIXED, WELL

STACK = "corner"
SPEC: dict[str, Any] = {
    "data": {
        "source": {"synthetic": {"users": 300, "items": 200, "interactions": 12_000, "days": 6}},
        "window": {"trainDays": 4, "evaluationDays": 2},
    },
    "models": {"retrieval": {"batchSize": 256, "epochs": 1}, "ranking": {"batchSize": 1024, "epochs": 1}},
    "evaluation": {"gates": [{"metric": "auc", "min": 0.5}]},
    "serving": {"replicas": 2, "candidates": 50, "topK": 20, "cpu": "100m"},
    "training": {"cpu": "400m"},
}
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
        seen = end()
    judge(story, seen, [first, second, third])
    story.gone(STACK)


def names(story: Story) -> list[str]:
    """Of the versions, oldest first."""
    return [str(one["metadata"]["name"]) for one in story.versions(STACK)]


def patch(story: Story, spec: dict[str, Any]) -> str:
    """Merge into the stack's spec; gives the name of the version that it makes."""
    known = len(names(story))
    story.tell(f"patch {json.dumps(spec)}")
    story.kube("patch", "rstack", STACK, "--type=merge", "-p", json.dumps({"spec": spec}))
    story.until("a version is made", lambda: len(names(story)) > known, 20)
    return names(story)[-1]


def rollout(story: Story) -> dict[str, Any]:
    """Of the stack's status."""
    return dict(story.get("rstack", STACK)["status"].get("rollout") or {})


def containers(story: Story) -> set[tuple[str, ...]]:
    """Of the serving pods that are to stay."""
    labels = f"recstack.dev/stack={STACK},app.kubernetes.io/component=serving"
    pods = story.get("pods", "-l", labels)["items"]
    return {tuple(one["name"] for one in pod["spec"]["containers"]) for pod in pods if stays(pod)}


def stays(pod: dict[str, Any]) -> bool:
    """Whether nobody deletes it."""
    return "deletionTimestamp" not in pod["metadata"]


def answers(story: Story, version: str) -> None:
    """Wait until it does, alone."""

    def live() -> bool:
        return bool(story.get("rstack", STACK)["status"].get("liveVersion") == version)

    story.until(f"{version} answers", live, 300)
    story.ready(STACK, 180)


def it_is_mirrored_first(story: Story) -> str:
    """A shadow whose package needs NVTabular: pods get it before they load it."""
    version = patch(story, {"features": {"user": USER}, "rollout": SHADOW})
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
    answers(story, version)
    assert rollout(story)["phase"] == "Completed"
    return version


def nvtabular_goes_with_it(story: Story) -> str:
    """Once another version has taken its place and it is not kept."""
    at_once = {"strategy": None, "soak": None, "keepLoaded": 0}
    # Another seed, or it would be the first version again.
    version = patch(story, {"features": {"user": None}, "training": {"seed": 3}, "rollout": at_once})
    answers(story, version)
    story.until("NVTabular is gone", lambda: containers(story) == {("triton", "gateway")}, 120)
    story.ready(STACK, 120)
    return version


def judge(story: Story, seen: dict[str, Any], versions: list[str]) -> None:
    """No request failed or was mixed, and the versions answered one after the other."""
    requests = sorted(seen["requests"])
    story.tell(f"{len(requests)} requests; errors {seen['errors']}; {seen['alike']} people answered alike")
    assert [one for one in requests if one[2] in (FAILED, MIXED)] == []
    assert all(one[2] == WELL for one in requests)
    order = list(dict.fromkeys(one[3] for one in requests))
    assert order == versions
