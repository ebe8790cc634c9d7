"""The ModelVersions that a stack asks for: its recipe's, and the same trained anew at scheduled times."""

from collections.abc import Sequence

from recstack_crds.v1alpha1.base import API_VERSION
from recstack_crds.v1alpha1.models import Kind, Training
from recstack_crds.v1alpha1.modelversion import Recipe

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.stack import Stack

COMPONENT = "model"
BY_STACK = "stack"
"""Value of the RECIPE annotation of versions that stacks make."""


def recipe(stack: Stack) -> Recipe:
    """What the stack's spec asks to be trained, defaults resolved; not when."""
    spec = stack.spec
    return Recipe(
        data=spec.data,
        features=spec.features,
        models=spec.models,
        training=Training.model_validate(spec.training.model_dump(include=set(Training.model_fields))),
        evaluation=spec.evaluation,
    )


def name(stack: Stack, scheduled: str | None = None) -> str:
    """Name of the version of the stack's recipe; ``scheduled``: of its run at that time, RFC 3339.

    Defaults are left out of what is hashed: a later release that adds a field must not train all anew.
    """
    value = recipe(stack).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return names.version(stack.name, value if scheduled is None else {"recipe": value, "at": scheduled})


def newest(manifests: Sequence[Manifest], stack: Stack) -> str | None:
    """The newest version of the stack's recipe that is not being deleted."""
    found = [one["metadata"] for one in manifests if one["spec"].get("stack") == stack.name]
    mine = [
        (one["creationTimestamp"], one["name"])
        for one in found
        if not one.get("deletionTimestamp") and one["name"] == name(stack, scheduled_time(one))
    ]
    return max(mine)[1] if mine else None


def scheduled_time(metadata: Manifest) -> str | None:
    """The time that a version was due, RFC 3339; None: no schedule made it."""
    found: str | None = (metadata.get("annotations") or {}).get(names.SCHEDULED_TIME)
    return found


def promoted(metadata: Manifest) -> str:
    """A person's word that it may serve, empty: none; another word lets one that was taken back try again."""
    found: str = (metadata.get("annotations") or {}).get(names.PROMOTE, "")
    return "" if found == "false" else found


def model_version(stack: Stack) -> Manifest:
    """Version of the stack's recipe; the annotation tells it from those that people make."""
    return _manifest(stack, name(stack), Kind.FULL, {})


def scheduled(stack: Stack, schedule: str, kind: Kind, time: str) -> Manifest:
    """Version of a schedule's run that was due at ``time``, RFC 3339."""
    annotations = {names.SCHEDULE: schedule, names.SCHEDULED_TIME: time}
    return _manifest(stack, name(stack, time), kind, annotations)


def _manifest(stack: Stack, name: str, kind: Kind, annotations: dict[str, str]) -> Manifest:
    metadata = stack.metadata(name, COMPONENT)
    metadata["annotations"] = {names.RECIPE: BY_STACK} | annotations
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": metadata,
        "spec": {
            "stack": stack.name,
            "kind": kind.value,
            "promote": "Auto",
            "recipe": recipe(stack).model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    }
