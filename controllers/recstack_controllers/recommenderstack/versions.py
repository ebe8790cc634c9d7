"""Pure choice among a stack's versions: which one is to serve, which ones are history."""

from collections.abc import Sequence
from dataclasses import dataclass

from recstack_crds.v1alpha1 import ModelVersionStatus
from recstack_crds.v1alpha1.modelversion import Promote
from recstack_crds.v1alpha1.status import Condition

from recstack_controllers.kit import decode, names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.kit.conditions import State
from recstack_controllers.kit.errors import Stalled
from recstack_controllers.resources.configmaps import Plan
from recstack_controllers.resources.modelversion import BY_STACK
from recstack_controllers.resources.stack import read_version


@dataclass(frozen=True)
class Known:
    """One ModelVersion of the stack, as its own reconcile left it."""

    name: str
    created: str
    by_stack: bool
    released: bool
    package: str | None
    conditions: dict[str, Condition]

    def is_true(self, type: str) -> bool:
        """Whether a condition is True."""
        found = self.conditions.get(type)
        return found is not None and found.status == State.TRUE

    @property
    def servable(self) -> bool:
        """Published, past its gates, and released by whoever asked for it."""
        return bool(self.package) and self.released and self.is_true("Evaluated") and self.is_true("Packaged")


def read(manifests: Sequence[Manifest], stack: str) -> list[Known]:
    """Versions of ``stack`` that are not being deleted, oldest first."""
    found = []
    for manifest in manifests:
        metadata = manifest["metadata"]
        if manifest["spec"].get("stack") != stack or metadata.get("deletionTimestamp"):
            continue
        try:
            version = read_version(manifest)
        except Stalled:  # its own reconcile says so
            continue
        annotations = metadata.get("annotations") or {}
        status = decode.status(ModelVersionStatus, manifest)
        found.append(
            Known(
                name=metadata["name"],
                created=metadata["creationTimestamp"],
                by_stack=annotations.get(names.RECIPE) == BY_STACK,
                released=version.spec.promote is Promote.AUTO or annotations.get(names.PROMOTE) == "true",
                package=status.package,
                conditions={condition.type: condition for condition in status.conditions},
            )
        )
    return sorted(found, key=lambda one: (one.created, one.name))


def target(known: Sequence[Known], wanted: str) -> Known | None:
    """The version that is to serve: the recipe's own, or a newer one that a person or CI made.

    None: none that may serve yet, so what serves now goes on.
    """
    own = next((one for one in known if one.name == wanted), None)
    since = (own.created, own.name) if own else ("", "")
    made = [one for one in known if not one.by_stack and one.servable and (one.created, one.name) > since]
    if made:
        return made[-1]
    return own if own is not None and own.servable else None


def history(known: Sequence[Known], wanted: str, plan: Plan, limit: int) -> list[str]:
    """Superseded versions beyond the newest ``limit``; never one that serves, loads, drains or is wanted."""
    used = {wanted, *plan.drain, *(one.name for one in plan.versions)}
    live = next((one for one in known if one.name == plan.live), None)
    past = [
        one
        for one in known
        if one.name not in used and (one.by_stack or (live is not None and one.created < live.created))
    ]
    return [one.name for one in past[: max(0, len(past) - limit)]]
