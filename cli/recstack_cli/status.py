"""`status`: a stack with all that belongs to it."""

from collections.abc import Sequence
from typing import Any

from recstack_controllers import kinds
from recstack_controllers.kit import decode, names
from recstack_controllers.kit.cluster import Manifest
from recstack_crds.v1alpha1 import RecommenderStackStatus
from recstack_crds.v1alpha1.modelversion import StepStatus
from recstack_crds.v1alpha1.rollout import RolloutStatus
from recstack_crds.v1alpha1.status import Condition

from recstack_cli import versions
from recstack_cli.kubectl import Kubectl
from recstack_cli.text import Node

NEGATIVE = frozenset({"Reconciling", "Stalled"})
"""Conditions of which False is the good state."""
STYLES = {"Succeeded": "green", "Running": "yellow", "Failed": "red", "Live": "green", "Stalled": "red"}


def as_data(kubectl: Kubectl, stack: Manifest) -> dict[str, Any]:
    """A stack, its versions, its serving pods."""
    name = stack["metadata"]["name"]
    pods = kubectl.list(kinds.POD, names.selector(name, "serving"))
    return {
        "name": name,
        "namespace": stack["metadata"]["namespace"],
        "generation": stack["metadata"]["generation"],
        "status": stack.get("status") or {},
        "versions": [versions.as_data(one) for one in versions.of_stack(kubectl, name)],
        "pods": [_pod(one) for one in pods],
    }


def _pod(pod: Manifest) -> dict[str, Any]:
    status = pod.get("status") or {}
    ready = next((one["status"] for one in status.get("conditions") or [] if one["type"] == "Ready"), "False")
    restarts = sum(one.get("restartCount", 0) for one in status.get("containerStatuses") or [])
    return {
        "name": pod["metadata"]["name"],
        "phase": "Terminating"
        if pod["metadata"].get("deletionTimestamp")
        else status.get("phase", "Pending"),
        "ready": ready == "True",
        "restarts": restarts,
    }


def tree(found: dict[str, Any]) -> Node:
    """``as_data``'s answer for people."""
    status = decode.status(RecommenderStackStatus, found)
    root = Node(f"RecommenderStack {found['namespace']}/{found['name']}: {status.phase or 'New'}", "bold")
    if status.observed_generation < found["generation"]:
        root.add("The operator has not looked at its present spec yet: is it running?", "yellow")
    if status.endpoint:
        root.add(f"endpoint {status.endpoint}, {status.ready_replicas} of {status.replicas} pods ready")
    if status.rollout is not None:
        _rollout(root, status.rollout)
    _conditions(root, status.conditions)
    below = root.add(f"versions ({len(found['versions'])})")
    for version in found["versions"]:
        _version(below, version, status.live_version)
    below = root.add(f"pods ({len(found['pods'])})")
    for pod in found["pods"]:
        state = f"{pod['phase']}, {'ready' if pod['ready'] else 'not ready'}, {pod['restarts']} restarts"
        below.add(f"{pod['name']}  {state}", "green" if pod["ready"] else "yellow")
    return root


def _rollout(node: Node, rollout: RolloutStatus) -> None:
    where = f", step {rollout.step} of {rollout.steps}" if rollout.step else ""
    style = {"Completed": "green", "RolledBack": "red"}.get(rollout.phase, "yellow")
    below = node.add(
        f"rollout of {rollout.version}: {rollout.phase}{where}, {rollout.weight} %, since {rollout.since}",
        style,
    )
    if rollout.message:
        below.add(rollout.message)
    for name, one in ((rollout.version, rollout.candidate), (rollout.previous, rollout.baseline)):
        if one is not None:
            p99 = "" if one.p99 is None else f", p99 {one.p99:.4g} ms"
            clicks = f", {one.clicks} clicks on {one.replies} replies" if one.replies else ""
            below.add(f"{name}: {one.requests} requests, {one.errors} failed{p99}{clicks}", "dim")


def _conditions(node: Node, conditions: Sequence[Condition]) -> None:
    below = node.add("conditions")
    for one in conditions:
        good = one.status == ("False" if one.type in NEGATIVE else "True")
        style = "green" if good else "red" if one.type == "Stalled" else "yellow"
        below.add(
            f"{one.type}={one.status}  {one.reason}" + (f": {one.message}" if one.message else ""), style
        )


def _version(node: Node, version: dict[str, Any], live: str | None) -> None:
    status = versions.read(version)
    measured = "  ".join(f"{name} {value:.4g}" for name, value in status.metrics.items())
    state = "Live" if version["name"] == live else status.phase or "New"
    below = node.add("  ".join(filter(None, (version["name"], state, measured))), STYLES.get(state, ""))
    text = versions.message(status)
    # A failed step says the same in its own line.
    if state != "Live" and text and all(step.message != text for step in status.steps):
        below.add(text)
    for step in status.steps:
        below.add(_step(step), STYLES.get(step.state, "dim"))


def _step(step: StepStatus) -> str:
    parts = [step.name, step.state]
    if step.compute_seconds is not None:
        parts.append(f"{step.compute_seconds:.1f} s")
    if step.wall_seconds is not None:
        parts.append(f"({step.wall_seconds:.1f} s with its pod)")
    if step.message:
        parts.append(step.message)
    return "  ".join(parts)
