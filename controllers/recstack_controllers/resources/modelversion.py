"""The ModelVersion that a stack asks for."""

from recstack_crds.v1alpha1.base import API_VERSION
from recstack_crds.v1alpha1.modelversion import Recipe

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.stack import Stack

COMPONENT = "model"
BY_STACK = "stack"
"""Value of the RECIPE annotation of versions that stacks make."""


def recipe(stack: Stack) -> Recipe:
    """What the stack's spec asks to be trained, defaults resolved."""
    spec = stack.spec
    return Recipe(
        data=spec.data,
        features=spec.features,
        models=spec.models,
        training=spec.training,
        evaluation=spec.evaluation,
    )


def name(stack: Stack) -> str:
    """Name of the version of the stack's recipe.

    Defaults are left out of what is hashed: a later release that adds a field must not train all anew.
    """
    return names.version(
        stack.name, recipe(stack).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    )


def model_version(stack: Stack) -> Manifest:
    """Version of the stack's recipe; the annotation tells it from those that people make."""
    metadata = stack.metadata(name(stack), COMPONENT)
    metadata["annotations"] = {names.RECIPE: BY_STACK}
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelVersion",
        "metadata": metadata,
        "spec": {
            "stack": stack.name,
            "kind": "Full",
            "promote": "Auto",
            "recipe": recipe(stack).model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    }
