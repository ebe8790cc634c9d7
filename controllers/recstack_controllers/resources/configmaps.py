"""ConfigMaps: a version's recipe and Triton repository, the stack's serving plan."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
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


@dataclass(frozen=True)
class Plan:
    """What every serving pod is to hold, and which version answers; ``drain``: on their way out.

    ``kept``: those of ``versions`` that were live before, the latest first.
    """

    live: str | None
    versions: tuple[PlannedVersion, ...]
    drain: tuple[str, ...]
    kept: tuple[str, ...] = ()

    @property
    def candidate(self) -> PlannedVersion | None:
        """The version that pods load to make it live."""
        return next(
            (one for one in self.versions if one.name != self.live and one.name not in self.kept), None
        )

    @property
    def moving(self) -> bool:
        """Whether pods are about to load or to drop one."""
        return bool(self.drain) or self.candidate is not None


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


def plan(stack: Stack, content: Plan, generation: int) -> Manifest:
    """Serving plan; ``generation`` rises with every change of ``content``."""
    serving = stack.spec.serving.model_dump(mode="json", by_alias=True)
    value = {"generation": generation, **asdict(content), "serving": serving}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": stack.metadata(names.plan(stack.name), PLAN),
        "data": {PLAN_KEY: json.dumps(value, indent=1, sort_keys=True) + "\n"},
    }


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
        kept = tuple(value.get("kept", ()))  # plans of releases before it had none
        return Plan(value["live"], versions, tuple(value["drain"]), kept), int(value["generation"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the plan in ConfigMap {manifest['metadata']['name']} is unreadable") from error
