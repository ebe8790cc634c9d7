"""ConfigMaps: a version's recipe and Triton repository, the stack's serving plan."""

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from recstack_crds.v1alpha1.rollout import MemoryFallback, RolledBack

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import events
from recstack_controllers.resources.stack import Stack, Version

RECIPE_KEY = "recipe.json"
PLAN_KEY = "plan.json"
PLAN = "plan"
REPOSITORY = "repository"
"""Components, as labels tell them."""


@dataclass(frozen=True)
class PlannedVersion:
    """A version that pods must have loaded. ``repo`` names its ConfigMap, ``digest`` its package."""

    name: str
    digest: str
    repo: str
    artifacts: str


class Phase(StrEnum):
    """Of a rollout under way."""

    LOADING = "Loading"
    CANARY = "Canary"
    SHADOW = "Shadow"
    SOAKING = "Soaking"


@dataclass(frozen=True)
class Baseline:
    """What is remembered of the version before once it answers nothing any more; ``p99``: milliseconds."""

    requests: int = 0
    errors: int = 0
    p99: float | None = None


@dataclass(frozen=True)
class Progress:
    """How far a rollout is. Kept in the plan, so that one write moves it and what pods do."""

    version: str
    previous: str
    phase: Phase
    since: str
    """When this phase or step began, RFC 3339."""
    step: int = 0
    """Of a Canary, from 0."""
    baseline: Baseline | None = None

    @property
    def epoch(self) -> str:
        """Pods begin to count anew when it changes."""
        return f"{self.version}/{self.phase}/{self.step}/{self.since}"


@dataclass(frozen=True)
class Route:
    """A share of people and of anonymous requests, percent, that is not answered by the live version."""

    version: str
    weight: int


@dataclass(frozen=True)
class Mirror:
    """A share of requests, 0 to 1, that ``version`` answers too, for nobody."""

    version: str
    fraction: float


@dataclass(frozen=True)
class Plan:
    """What every serving pod is to hold, and which version answers; ``drain``: on their way out.

    ``kept``: those of ``versions`` that were live before, the latest first; ``rolled_back``: newest first.
    """

    live: str | None
    versions: tuple[PlannedVersion, ...]
    drain: tuple[str, ...]
    kept: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    mirror: Mirror | None = None
    rollout: Progress | None = None
    rolled_back: tuple[RolledBack, ...] = ()
    surge: str = ""
    """Which pods load the candidate in the live version's place: those that were started for this."""

    @property
    def candidate(self) -> PlannedVersion | None:
        """The version that pods load to make it live."""
        return next(
            (one for one in self.versions if one.name != self.live and one.name not in self.kept), None
        )

    @property
    def moving(self) -> bool:
        """Whether pods are about to load or to drop one, or one is watched."""
        return bool(self.drain) or self.candidate is not None or self.rollout is not None


def recipe(stack: Stack, version: Version) -> Manifest:
    """Recipe of a version as the steps read it, defaults resolved."""
    text = version.spec.recipe.model_dump_json(by_alias=True, exclude_none=True, indent=1)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": version.metadata(stack, names.recipe(version.name), "training"),
        "immutable": True,
        "data": {RECIPE_KEY: text + "\n"},
    }


def repository(stack: Stack, version: str, files: Mapping[str, bytes]) -> Manifest:
    """Triton repository of a version; keys are paths with ``/`` written as ``__``.

    The stack owns it: a live version serves on, also in new pods, when its ModelVersion is deleted.
    """
    data = {
        path.replace("/", "__"): base64.b64encode(content).decode() for path, content in sorted(files.items())
    }
    metadata = stack.metadata(names.repository(stack.name, version, data), REPOSITORY)
    metadata["labels"] |= {names.VERSION: version}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "immutable": True,
        "binaryData": data,
    }


def plan(stack: Stack, content: Plan, generation: int, measure: Collection[str] = ()) -> Manifest:
    """Serving plan; ``generation`` rises with every change of ``content``.

    ``measure``: versions whose latency pods measure when they prove them, which takes longer than the proof.
    """
    serving = stack.spec.serving.model_dump(mode="json", by_alias=True)
    measured = {"measure": sorted(measure)} if measure else {}
    value = {
        "generation": generation,
        **_written(stack, content),
        **measured,
        "serving": serving,
        "events": events.settings(stack),
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": stack.metadata(names.plan(stack.name), PLAN),
        "data": {PLAN_KEY: json.dumps(value, indent=1, sort_keys=True) + "\n"},
    }


def _written(stack: Stack, content: Plan) -> dict[str, Any]:
    """The plan's own part; what a rest has not is left out, so that a new release rewrites no plan."""
    value: dict[str, Any] = {
        "live": content.live,
        "versions": [asdict(one) for one in content.versions],
        "drain": content.drain,
        "kept": content.kept,
    }
    if content.routes:
        value["routes"] = [asdict(one) for one in content.routes]
    if content.mirror is not None:
        value["mirror"] = asdict(content.mirror)
    if content.rollout is not None:
        value["rollout"] = asdict(content.rollout)
        value["epoch"] = content.rollout.epoch
        soak = stack.spec.rollout.soak
        if soak is not None and soak.click_through is not None:
            value["clickEvent"] = soak.click_through.event
    if stack.spec.rollout.memory_fallback is not MemoryFallback.REFUSE:
        value["memoryFallback"] = stack.spec.rollout.memory_fallback.value
    if content.surge:
        value["surge"] = content.surge
    if content.rolled_back:
        value["rolledBack"] = [one.model_dump(by_alias=True) for one in content.rolled_back]
    return value


def planned(manifest: Manifest | None) -> set[str]:
    """Names of the versions that pods hold or are told to; of an unreadable plan none."""
    try:
        plan, _ = read_plan(manifest)
    except ValueError:
        return set()
    return {one.name for one in plan.versions} | set(plan.drain)


def read_plan(manifest: Manifest | None) -> tuple[Plan, int]:
    """Content and generation of a plan that was written before; empty and 0 when there is none.

    Raises:
        ValueError: a plan that recstack did not write.
    """
    if manifest is None:
        return Plan(None, (), ()), 0
    try:
        value = json.loads(manifest["data"][PLAN_KEY])
        versions = tuple(PlannedVersion(**one) for one in value["versions"])
        # Plans of releases before have none of what follows.
        mirror = value.get("mirror")
        plan = Plan(
            value["live"],
            versions,
            tuple(value["drain"]),
            kept=tuple(value.get("kept", ())),
            routes=tuple(Route(**one) for one in value.get("routes", ())),
            mirror=Mirror(**mirror) if mirror else None,
            rollout=_progress(value.get("rollout")),
            rolled_back=tuple(RolledBack.model_validate(one) for one in value.get("rolledBack", ())),
            surge=value.get("surge", ""),
        )
        return plan, int(value["generation"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the plan in ConfigMap {manifest['metadata']['name']} is unreadable") from error


def _progress(value: Any) -> Progress | None:
    if value is None:
        return None
    baseline = value.get("baseline")
    known = {"phase": Phase(value["phase"]), "baseline": Baseline(**baseline) if baseline else None}
    return Progress(**(value | known))
