"""What became of a step's Job: read from the Job, its pods and their termination messages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from recstack_crds.v1alpha1.modelversion import Days, Findings, GateVerdict, NotCompiled, Skew

from recstack_controllers.kit.clock import parse
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.pods import CONTAINER
from recstack_controllers.resources.steps import BAD_INPUT_EXIT_CODE

OUT_OF_MEMORY_EXIT_CODE = 137
TRAINING_MEMORY = "spec.training.memory"
BAD_WAITS = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
    }
)


class JobState(StrEnum):
    """Where a Job is."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class StepResult(BaseModel):
    """A step's own account of its success: its termination message."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    step: str
    compute_seconds: float
    metrics: dict[str, float] = {}
    package: str | None = None
    gates: list[GateVerdict] = []
    window: Days | None = None
    check: Findings | None = None
    skew: list[Skew] = []
    not_compiled: list[NotCompiled] = []


class StepError(BaseModel):
    """A step's own account of bad input."""

    reason: str
    message: str
    file: str | None = None
    column: str | None = None

    def sentence(self) -> str:
        """Message with the place in the data."""
        place = ", ".join(
            f"{what} {value}" for what, value in (("file", self.file), ("column", self.column)) if value
        )
        return f"{self.message} ({place})" if place else self.message


class _Failure(BaseModel):
    error: StepError


@dataclass(frozen=True)
class Failure:
    """Why a Job failed for good; ``bad_input``: the data or the recipe is wrong."""

    reason: str
    message: str
    bad_input: bool = False


@dataclass(frozen=True)
class JobReport:
    """State of a Job. ``result_lost``: its pod is gone, and with it what it said; ``wall`` in seconds."""

    state: JobState
    message: str = ""
    result: StepResult | None = None
    result_lost: bool = False
    failure: Failure | None = None
    wall: float | None = None


def read(job: Manifest, pods: Sequence[Manifest], memory: str, knob: str = TRAINING_MEMORY) -> JobReport:
    """Judge ``job`` by its conditions; ``memory`` is its pods' limit, ``knob`` the field that sets it."""
    status = job.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c["status"] == "True"}
    own = [pod for pod in pods if _owned(pod, job)]
    own.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp", ""), pod["metadata"]["name"]))
    if "Complete" in conditions:
        return _succeeded(job, status, own)
    if "Failed" in conditions:
        failure = _failed(job, conditions["Failed"], own, memory, knob)
        return JobReport(JobState.FAILED, failure=failure, result_lost=not own)
    return JobReport(JobState.RUNNING, message=_progress(job, status, own))


def _owned(pod: Manifest, job: Manifest) -> bool:
    owners = pod["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == job["metadata"]["uid"] for owner in owners)


def _terminated(pod: Manifest) -> Manifest:
    for container in (pod.get("status") or {}).get("containerStatuses") or []:
        if container["name"] == CONTAINER:
            return dict((container.get("state") or {}).get("terminated") or {})
    return {}


def _succeeded(job: Manifest, status: Manifest, pods: Sequence[Manifest]) -> JobReport:
    begun, ended = job["metadata"].get("creationTimestamp"), status.get("completionTime")
    wall = (parse(ended) - parse(begun)).total_seconds() if begun and ended else None
    done = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Succeeded"]
    if not done:
        return JobReport(JobState.SUCCEEDED, result_lost=True, wall=wall)
    text = _terminated(done[-1]).get("message", "")
    try:
        return JobReport(JobState.SUCCEEDED, result=StepResult.model_validate_json(text), wall=wall)
    except ValidationError:
        failure = Failure(
            "ResultUnreadable",
            f"Job {job['metadata']['name']} succeeded, but its result is not what this operator expects: "
            "use a training image of the operator's own release.",
        )
        return JobReport(JobState.FAILED, failure=failure, wall=wall)


def _failed(job: Manifest, condition: Manifest, pods: Sequence[Manifest], memory: str, knob: str) -> Failure:
    name, why = job["metadata"]["name"], condition.get("reason", "Failed")
    if not pods:
        return Failure(
            "StepFailed",
            f"Job {name} failed for good ({why}); its pod is gone, and what it said with it. "
            "Delete the Job to try again.",
        )
    last = pods[-1]
    end = _terminated(last)
    code = end.get("exitCode")
    if code == BAD_INPUT_EXIT_CODE:
        return _bad_input(name, end.get("message", ""))
    if end.get("reason") == "OOMKilled" or code == OUT_OF_MEMORY_EXIT_CODE:
        smaller = " or lower spec.models.*.batchSize" if knob == TRAINING_MEMORY else ""
        return Failure(
            "OutOfMemory",
            f"Job {name} used more than its {memory} of memory: raise {knob} of the stack{smaller}.",
        )
    if (last.get("status") or {}).get("reason") == "Evicted":
        text = last["status"].get("message", "").strip()
        return Failure(
            "Evicted",
            f"Job {name} was evicted from its node: {text} Give the nodes more room or raise "
            f"{knob} of the stack, then delete the Job to try again.",
        )
    lines = [line for line in end.get("message", "").splitlines() if line.strip()]
    detail = f" Its last words: {lines[-1][:300]}" if lines else ""
    return Failure(
        "StepFailed",
        f"Job {name} failed for good ({why}, exit code {code}).{detail} "
        f"See `kubectl logs job/{name}`; delete the Job to try again.",
    )


def _bad_input(job: str, text: str) -> Failure:
    try:
        error = _Failure.model_validate(json.loads(text)).error
    except (ValueError, ValidationError):
        return Failure(
            "BadInput", f"Job {job} refused its input; see `kubectl logs job/{job}`.", bad_input=True
        )
    return Failure(error.reason, error.sentence(), bad_input=True)


def _progress(job: Manifest, status: Manifest, pods: Sequence[Manifest]) -> str:
    if not pods:
        return "waiting for its pod"
    pod = pods[-1].get("status") or {}
    for condition in pod.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no node has room for it: {condition.get('message', '')}"
    for container in pod.get("containerStatuses") or []:
        wait = (container.get("state") or {}).get("waiting") or {}
        if wait.get("reason") in BAD_WAITS:
            return f"its container cannot start: {wait['reason']}: {wait.get('message', '')}"
    failed = status.get("failed", 0)
    if failed:
        return f"attempt {failed + 1} of {job['spec']['backoffLimit'] + 1}"
    return ""
