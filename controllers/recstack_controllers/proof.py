"""What serving pods say of the versions that they hold."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, TypeAdapter, ValidationError

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Cluster, ClusterError, Manifest

SECONDS = 2.0
LATENCY_GROWTH = 2**0.25
"""Between the bounds of a pod's latency buckets: a request took no less than its bound divided by this."""
GONE = frozenset({"Unloaded", "Failed", "NoRoom"})
"""States of a version that a pod no longer serves from."""


class VersionStatistics(BaseModel):
    """What a pod counted of one version since the plan's ``epoch`` began there."""

    epoch: str
    requests: int = 0
    errors: int = 0
    replies: int = 0
    clicks: int = 0
    latency: dict[float, int] = {}
    """Requests by the upper bound of their time, milliseconds."""
    mirrored: int = 0
    overlap: float = 0.0


class Latency(BaseModel):
    """Of one version in one pod before it answers anybody, milliseconds."""

    p50: float
    p99: float


class VersionReport(BaseModel):
    """One version in one pod, from the gateway's ``GET /versions``."""

    state: str
    message: str | None = None
    digest: str | None = None
    statistics: VersionStatistics | None = None
    latency: Latency | None = None


_REPORTS = TypeAdapter(dict[str, VersionReport])


@dataclass(frozen=True)
class PodReport:
    """One running pod; ``versions`` None: its gateway did not answer, ``error`` says how."""

    pod: str
    versions: dict[str, VersionReport] | None
    error: str = ""


class Verdict(StrEnum):
    """Whether a version may take requests."""

    PENDING = "Pending"
    PROVEN = "Proven"
    FAILED = "Failed"
    NO_ROOM = "NoRoom"


REASONS = {
    Verdict.PENDING: "Loading",
    Verdict.PROVEN: "Proven",
    Verdict.FAILED: "LoadFailed",
    Verdict.NO_ROOM: "NoMemoryHeadroom",
}
"""Reasons of conditions."""


@dataclass(frozen=True)
class Proof:
    """Verdict over all pods, and a sentence about it."""

    verdict: Verdict
    message: str


async def observe(cluster: Cluster, namespace: str, stack: str) -> list[PodReport]:
    """Ask every running serving pod; those not ready too, as no pod is before the first version is live."""
    pods = await cluster.list(kinds.POD, namespace, names.selector(stack, "serving"))
    return list(await asyncio.gather(*(_ask(cluster, pod) for pod in pods if _runs(pod))))


def _runs(pod: Manifest) -> bool:
    status = pod.get("status") or {}
    deleted = pod["metadata"].get("deletionTimestamp")
    return status.get("phase") == "Running" and bool(status.get("podIP")) and not deleted


async def _ask(cluster: Cluster, pod: Manifest) -> PodReport:
    name, address = pod["metadata"]["name"], pod["status"]["podIP"]
    host = f"[{address}]" if ":" in address else address
    try:
        answer = await cluster.get_json(f"http://{host}:{names.GATEWAY_PORT}/versions", SECONDS)
        return PodReport(name, _REPORTS.validate_python(answer))
    except ClusterError as error:
        return PodReport(name, None, str(error))
    except ValidationError as error:
        return PodReport(name, None, f"/versions is not as expected: {error.errors()[0]['msg']}")


def judge(reports: Sequence[PodReport], version: str, digest: str) -> Proof:
    """Proven only when there is a pod and every one has proven exactly this package."""
    if not reports:
        return Proof(Verdict.PENDING, "no serving pod runs yet")
    proven = 0
    waiting = cramped = ""
    for report in reports:
        if report.versions is None:
            waiting = waiting or f"pod {report.pod} does not answer yet"
            continue
        found = report.versions.get(version)
        if found is None:
            waiting = waiting or f"pod {report.pod} has not seen it yet"
        elif found.state == Verdict.FAILED:
            return Proof(
                Verdict.FAILED, f"pod {report.pod} cannot serve it: {found.message or 'no reason given'}"
            )
        elif found.state == Verdict.NO_ROOM:
            cramped = cramped or (
                f"pod {report.pod} has no room for it: {found.message or 'no figures given'}. "
                "Raise spec.serving.memory: pods are replaced one by one, and it goes on; or set "
                "spec.rollout.memoryFallback to Surge, which replaces pods by others that hold only it"
            )
        elif found.state != Verdict.PROVEN:
            waiting = waiting or f"pod {report.pod}: {found.state}"
        elif found.digest != digest:
            waiting = waiting or f"pod {report.pod} holds another package, {found.digest}"
        else:
            proven += 1
    if cramped:
        return Proof(Verdict.NO_ROOM, cramped)
    if proven == len(reports):
        return Proof(Verdict.PROVEN, f"proven by a real inference on {_pods(proven)}")
    return Proof(Verdict.PENDING, f"proven on {proven} of {_pods(len(reports))}; {waiting}")


def in_surge(found: Proof, live: str | None) -> Proof:
    """The judgement while pods are replaced by others that hold the version in the place of ``live``."""
    if found.verdict is not Verdict.NO_ROOM:
        return found
    text = f"no room for it beside {live}: pods are replaced one by one, to hold it instead"
    return Proof(Verdict.PENDING, text)


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"


def held(reports: Sequence[PodReport], version: str) -> bool:
    """Whether any pod still holds ``version``; a pod that does not answer may."""
    for report in reports:
        if report.versions is None:
            return True
        found = report.versions.get(version)
        if found is not None and found.state not in GONE:
            return True
    return False
