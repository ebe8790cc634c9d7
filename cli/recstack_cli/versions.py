"""`versions` and `diff`: a stack's trained bundles side by side."""

from collections.abc import Iterable, Sequence
from typing import Any

from recstack_controllers import kinds
from recstack_controllers.kit import decode
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.stack import read_version
from recstack_crds.v1alpha1 import ModelVersionStatus

from recstack_cli.changes import changes, show
from recstack_cli.kubectl import Kubectl
from recstack_cli.text import columns

SHOWN = 47
"""Letters of a parent: every name of a version, the beginning of a digest."""


def of_stack(kubectl: Kubectl, stack: str) -> list[Manifest]:
    """Versions of a stack, oldest first."""
    found = [one for one in kubectl.list(kinds.MODEL_VERSION) if one["spec"]["stack"] == stack]
    return sorted(found, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))


def read(version: Manifest) -> ModelVersionStatus:
    """A version's status."""
    return decode.status(ModelVersionStatus, version)


def message(status: ModelVersionStatus, type: str = "Ready") -> str:
    """What a condition says; empty when there is none."""
    return next((one.message for one in status.conditions if one.type == type), "")


def as_data(version: Manifest) -> dict[str, Any]:
    """One version for programs."""
    metadata = version["metadata"]
    return {
        "name": metadata["name"],
        "created": metadata["creationTimestamp"],
        "spec": version["spec"],
        "status": version.get("status") or {},
    }


def table(versions: Sequence[Manifest]) -> str:
    """One line a version."""
    statuses = [read(one) for one in versions]
    measured = list(dict.fromkeys(name for status in statuses for name in status.metrics))
    rows = [
        [
            "NAME",
            "CREATED",
            "KIND",
            "PARENT",
            "DAYS",
            "STATE",
            *(name.upper() for name in measured),
            "MESSAGE",
        ]
    ]
    for version, status in zip(versions, statuses, strict=True):
        metadata, kind = version["metadata"], version["spec"].get("kind", "Full")
        rows.append(
            [
                metadata["name"],
                metadata["creationTimestamp"],
                kind,
                version["spec"].get("parent", "-")[:SHOWN],
                days(status),
                status.phase or "New",
                *figures(status, measured),
                message(status),
            ]
        )
    return columns(rows)


def days(status: ModelVersionStatus) -> str:
    """The days that a version is made of, by their files; a dash before ingest."""
    return f"{status.window.first}..{status.window.last}" if status.window else "-"


def figures(status: ModelVersionStatus, names: Iterable[str]) -> list[str]:
    """Metrics in four digits; a dash where one was not measured."""
    return [f"{status.metrics[name]:.4g}" if name in status.metrics else "-" for name in names]


def compare(before: Manifest, after: Manifest) -> dict[str, Any]:
    """Differences of two versions' kind, parent, days and recipe, defaults resolved, and their metrics."""
    left, right = (_made_of(one) for one in (before, after))
    metrics = [read(one).metrics for one in (before, after)]
    return {
        "versions": [one["metadata"]["name"] for one in (before, after)],
        "recipe": [
            {"path": one.path, "before": one.before, "after": one.after} for one in changes(left, right)
        ],
        "metrics": {
            name: [side.get(name) for side in metrics] for name in dict.fromkeys((*metrics[0], *metrics[1]))
        },
    }


def _made_of(version: Manifest) -> dict[str, Any]:
    spec = read_version(version).spec
    recipe: dict[str, Any] = spec.recipe.model_dump(mode="json", by_alias=True, exclude_none=True)
    parent = {} if spec.parent is None else {"parent": spec.parent}
    return {"kind": spec.kind.value, **parent, "days": days(read(version)), **recipe}


def describe(found: dict[str, Any]) -> str:
    """``compare``'s answer for people."""
    head = ["", *found["versions"]]
    rows = [[one["path"], show(one["before"]), show(one["after"])] for one in found["recipe"]]
    parts = [columns([["RECIPE", *head[1:]], *rows])] if rows else ["The recipes are the same."]
    if found["metrics"]:
        lines = []
        for name, (left, right) in found["metrics"].items():
            difference = "-" if left is None or right is None else f"{right - left:+.4g}"
            lines.append([name, *("-" if one is None else f"{one:.4g}" for one in (left, right)), difference])
        parts.append(columns([["METRIC", *head[1:], "DIFFERENCE"], *lines]))
    return "\n\n".join(parts)
