"""All names and labels, so that they are deterministic and said once."""

import hashlib
import json
from typing import Any

GROUP = "recstack.dev"
STACK = f"{GROUP}/stack"
VERSION = f"{GROUP}/version"
STEP = f"{GROUP}/step"
RENDERED = f"{GROUP}/rendered"
RECIPE = f"{GROUP}/recipe"
PROMOTE = f"{GROUP}/promote"
CHECK = f"{GROUP}/check"
SCHEDULE = f"{GROUP}/schedule"
SCHEDULED_TIME = f"{GROUP}/scheduled-time"
CAUSE = f"{GROUP}/cause"
FINALIZER = f"{GROUP}/packages"
ROLLED_BACK = "RolledBack"
"""Reason of a version that was taken back by itself."""
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"

GATEWAY_PORT = 8080
VALKEY_PORT = 6379


def digest(value: Any, length: int = 8) -> str:
    """First ``length`` hex digits of the SHA-256 of ``value``'s canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def labels(stack: str, component: str) -> dict[str, str]:
    """Labels of every child; STACK is what finds them and leads from a child's event to its stack."""
    return {NAME: "recstack", INSTANCE: stack, COMPONENT: component, MANAGED_BY: "recstack", STACK: stack}


def selector(stack: str, component: str) -> dict[str, str]:
    """Labels that select a component's pods; never changes, selectors are immutable."""
    return {STACK: stack, COMPONENT: component}


def artifacts(stack: str) -> str:
    """Claim of the packages."""
    return f"{stack}-artifacts"


def work(stack: str) -> str:
    """Claim of the training steps' intermediate state."""
    return f"{stack}-work"


def valkey(stack: str) -> str:
    """Valkey's Secret, Service and StatefulSet."""
    return f"{stack}-valkey"


def gateway(stack: str) -> str:
    """Identity and Deployment of the serving pods."""
    return f"{stack}-serving"


def events(stack: str) -> str:
    """Identity and Deployment of the pod that works off events."""
    return f"{stack}-events"


def training(stack: str) -> str:
    """Network policy of the training pods."""
    return f"{stack}-training"


def plan(stack: str) -> str:
    """ConfigMap of the serving plan."""
    return f"{stack}-plan"


def version(stack: str, recipe: Any) -> str:
    """ModelVersion of a recipe: the same recipe has the same name, so it is never trained twice."""
    return f"{stack}-{digest(recipe)}"


def repository(stack: str, version_name: str, content: Any) -> str:
    """Immutable ConfigMap of a version's Triton repository; another content has another name."""
    return f"{stack}-repo-{version_name}-{digest(content)}"


def recipe(version_name: str) -> str:
    """ConfigMap of a version's recipe."""
    return f"{version_name}-recipe"


def job(version_name: str, step: str) -> str:
    """Job of a training step."""
    return f"{version_name}-{step}"


def feast(stack: str) -> str:
    """Feast's repository, the CronJob of its increments, and the network policy of its Jobs."""
    return f"{stack}-feast"


def feast_job(stack: str, content: str, runs: int) -> str:
    """Job that applies a repository; ``runs`` tells it from one that applied the same before."""
    return f"{stack}-feast-{content}-{runs}"


def feast_deletion(stack: str) -> str:
    """Job that deletes a stack's rows from the online store."""
    return f"{stack}-delete-features"


def check(stack: str, time: str) -> str:
    """Job that looks at the data, due at ``time``."""
    return f"{stack}-check-{digest(time)}"


def prune(stack: str, what: Any) -> str:
    """Job that deletes the files of versions that are gone."""
    return f"{stack}-prune-{digest(what)}"


def cleanup(stack: str) -> str:
    """Job that deletes a stack's packages."""
    return f"{stack}-delete-packages"
