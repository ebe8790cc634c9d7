"""The ModelVersions that a stack asks for: its recipe's, and the same trained anew at scheduled times."""

from collections.abc import Sequence
from dataclasses import dataclass

from recstack_crds.v1alpha1.base import API_VERSION
from recstack_crds.v1alpha1.models import Kind
from recstack_crds.v1alpha1.modelversion import Days

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.stack import Stack

COMPONENT = "model"
BY_STACK = "stack"
"""Value of the RECIPE annotation of versions that stacks make."""


@dataclass(frozen=True)
class Origin:
    """Why a stack makes a version of its recipe; both None: since the recipe has none yet.

    ``scheduled``: the time that a schedule's run was due, RFC 3339. ``cause``: what a trigger saw, once for
    all. ``schedule``: the schedule's or trigger's name, which is no part of the version's name.
    """

    scheduled: str | None = None
    cause: str | None = None
    kind: Kind = Kind.FULL
    schedule: str | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> "Origin":
        """Of a ModelVersion, by its annotations."""
        annotations = manifest["metadata"].get("annotations") or {}
        return cls(
            annotations.get(names.SCHEDULED_TIME),
            annotations.get(names.CAUSE),
            kind(manifest),
            annotations.get(names.SCHEDULE),
        )


def kind(manifest: Manifest) -> Kind:
    """Kind of a stored ModelVersion; Full where this release does not know it."""
    return Kind.FINE_TUNE if manifest["spec"].get("kind") == Kind.FINE_TUNE else Kind.FULL


FIRST = Origin()


def name(stack: Stack, origin: Origin = FIRST) -> str:
    """Name of the version of the stack's recipe, made for ``origin``."""
    value = stack.recipe_named
    if origin.scheduled is None and origin.cause is None:
        return names.version(stack.name, value)
    more = {"at": origin.scheduled, "cause": origin.cause}
    if origin.kind is not Kind.FULL:
        more["kind"] = origin.kind.value
    return names.version(stack.name, {"recipe": value} | {key: one for key, one in more.items() if one})


def newest(manifests: Sequence[Manifest], stack: Stack) -> str | None:
    """The newest version of the stack's recipe that is not being deleted."""
    mine = [
        (metadata["creationTimestamp"], metadata["name"])
        for one in manifests
        if one["spec"].get("stack") == stack.name
        and not (metadata := one["metadata"]).get("deletionTimestamp")
        and metadata["name"] == name(stack, Origin.of(one))
    ]
    return max(mine)[1] if mine else None


def promoted(metadata: Manifest) -> str:
    """A person's word that it may serve, empty: none; another word lets one that was taken back try again."""
    found: str = (metadata.get("annotations") or {}).get(names.PROMOTE, "")
    return "" if found == "false" else found


def model_version(
    stack: Stack, origin: Origin = FIRST, parent: str | None = None, days: Days | None = None
) -> Manifest:
    """Version of the stack's recipe; annotations tell it from those that people make, and why it is made.

    ``parent``: version that a fine-tune goes on from.
    """
    metadata = stack.metadata(name(stack, origin), COMPONENT)
    told = {
        names.SCHEDULE: origin.schedule,
        names.SCHEDULED_TIME: origin.scheduled,
        names.CAUSE: origin.cause,
    }
    annotations = {key: value for key, value in told.items() if value}
    metadata["annotations"] = {names.RECIPE: BY_STACK} | annotations
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": metadata,
        "spec": {
            "stack": stack.name,
            "kind": origin.kind.value,
            **({"parent": parent} if parent else {}),
            **({"days": days.model_dump(mode="json")} if days else {}),
            "promote": "Auto",
            "recipe": stack.recipe.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    }
