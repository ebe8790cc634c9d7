"""Gates in the operator: what is compared with what, and how a verdict is told."""

import contextlib
from typing import Any

import pytest
from fake_cluster import Cut
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.modelversion.status import missed, verdicts
from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.modelversion import GateVerdict
from world import World

SPEC: Manifest = {
    "evaluation": {"gates": [{"metric": "recall@10", "relativeTo": "live", "minDifference": 0.0}]}
}


def said(reason: str, *, passed: bool, **figures: float) -> Manifest:
    told = {"metric": "recall@10", "slice": "all", "threshold": 0.0, "passed": passed, "reason": reason}
    return told | figures


def evaluation(world: World) -> Manifest:
    (job,) = [one for one in world.cluster.all("Job") if one["metadata"]["name"].endswith("-evaluate")]
    return job


def compared(job: Manifest) -> str | None:
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    return command[command.index("--live-package") + 1] if "--live-package" in command else None


async def until_evaluation(world: World) -> None:
    """Until the candidate's evaluation runs."""
    for _ in range(12):
        await world.round()
        jobs = [one for one in world.cluster.all("Job") if not one.get("status")]
        if any(one["metadata"]["name"].endswith("-evaluate") for one in jobs):
            return
        world.finish_jobs()
    raise AssertionError("no evaluation")


async def live_and_candidate() -> tuple[World, str, str]:
    """A live version, and a newer one whose evaluation, with a relative gate, runs."""
    world = World()
    await world.settle()
    old = world.plan.live or ""
    for job in world.cluster.all("Job"):
        world.cluster.remove("Job", job["metadata"]["name"])
    world.edit(SPEC)
    await until_evaluation(world)
    return world, old, next(name for name in world.versions() if name != old)


async def test_the_live_package_is_told_to_the_evaluation_and_recorded() -> None:
    world, old, new = await live_and_candidate()
    assert compared(evaluation(world)) == f"sha256:{old}"
    status = world.cluster.find("ModelVersion", new)["status"]
    assert status["baseline"] == {"version": old, "package": f"sha256:{old}"}


async def test_a_job_made_anew_compares_with_the_same() -> None:
    """Another package may be live by then; the recorded one counts."""
    world, old, new = await live_and_candidate()
    world.cluster.remove("Job", evaluation(world)["metadata"]["name"])
    plan = world.cluster.find("ConfigMap", "retail-plan")
    other = plan["data"]["plan.json"].replace(f"sha256:{old}", "sha256:other")
    world.cluster.put(plan | {"data": {"plan.json": other}})
    await world.version(new)
    assert compared(evaluation(world)) == f"sha256:{old}"


@pytest.mark.parametrize("writes", [1, 2, 3, 4])
async def test_an_operator_killed_around_the_jobs_creation_compares_with_what_it_recorded(
    writes: int,
) -> None:
    """Cut after any write, and another package live when it comes back: Job and status say the same."""
    world, _, new = await live_and_candidate()
    world.cluster.remove("Job", evaluation(world)["metadata"]["name"])
    stored = world.cluster.find("ModelVersion", new)
    status = {key: value for key, value in stored["status"].items() if key != "baseline"}
    world.cluster.put(stored | {"status": status})
    world.cluster.cut_after = writes
    with contextlib.suppress(Cut):
        await world.version(new)
    world.cluster.cut_after = None
    plan = world.cluster.find("ConfigMap", "retail-plan")
    world.cluster.put(
        plan | {"data": {"plan.json": plan["data"]["plan.json"].replace("sha256:", "sha256:0")}}
    )
    await world.version(new)
    baseline = world.cluster.find("ModelVersion", new)["status"]["baseline"]
    assert compared(evaluation(world)) == baseline["package"]


async def test_no_live_version_is_recorded_as_none_and_passes() -> None:
    world = World(SPEC)
    await until_evaluation(world)
    assert compared(evaluation(world)) is None
    (name,) = world.versions()
    assert world.cluster.find("ModelVersion", name)["status"]["baseline"] == {"version": "", "package": ""}
    world.told_gates = [said("NoLiveVersion", passed=True)]
    await world.settle()
    assert world.plan.live == name
    told = world.condition("Evaluated", "ModelVersion", name)
    assert (told["status"], told["reason"]) == ("True", "GatesPassed")
    assert "No version was live to compare recall@10 with (NoLiveVersion)." in told["message"]


async def test_a_candidate_that_is_not_shown_better_is_rejected_with_figures() -> None:
    world, old, new = await live_and_candidate()
    world.told_gates = [said("NotShown", passed=False, value=0.004, bound=-0.002)]
    await world.settle()
    assert world.plan.live == old
    status = world.cluster.find("ModelVersion", new)["status"]
    assert status["gates"] == world.told_gates
    text = "recall@10 against the live version is 0.004 with a lower bound of -0.002, not above its gate of 0"
    found = world.condition("Evaluated", "ModelVersion", new)
    assert (found["status"], found["reason"]) == ("False", "GateMissed")
    assert text in found["message"]
    warned = [event for event in world.cluster.events if event[:2] == ("Warning", "GateMissed")]
    assert text in warned[0][2]


async def test_without_relative_gates_nothing_is_compared() -> None:
    world = World({"evaluation": {"gates": [{"metric": "auc", "min": 0.5}]}})
    await until_evaluation(world)
    assert compared(evaluation(world)) is None
    (name,) = world.versions()
    assert "baseline" not in world.cluster.find("ModelVersion", name)["status"]


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ({"metric": "auc", "min": 0.5}, "Passed"),
        ({"metric": "auc", "min": 0.9}, "BelowMin"),
        ({"metric": "auc", "max": 0.5}, "AboveMax"),
        ({"metric": "auc", "slice": "newUsers", "min": 0.1}, "NotMeasured"),
        ({"metric": "auc", "relativeTo": "live", "minRatio": 0.1}, "NotMeasured"),
        ({"metric": "recall@50", "min": 0.1}, "NotMeasured"),
    ],
)
def test_a_version_evaluated_by_an_older_release_is_judged_by_its_metrics(
    gate: dict[str, Any], reason: str
) -> None:
    (verdict,) = verdicts([Gate.model_validate(gate)], [], {"auc": 0.7})
    assert (verdict.reason, verdict.passed) == (reason, reason == "Passed")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("BelowMin", "auc of newItems is 0.6, below its gate of 0.7"),
        ("AboveMax", "auc of newItems is 0.6, above its gate of 0.7"),
        ("NotMeasured", "auc of newItems was not measured"),
        (
            "TooFewRequests",
            "auc of newItems against the live version is 0.6, of too few requests to be believed",
        ),
        ("Other", "auc of newItems is 0.6, its gate of 0.7 is missed"),
    ],
)
def test_every_reason_is_a_sentence(reason: str, text: str) -> None:
    told = GateVerdict(metric="auc", slice="newItems", value=0.6, threshold=0.7, passed=False, reason=reason)
    assert missed([told]) == text
    assert not missed([told.model_copy(update={"passed": True})])
