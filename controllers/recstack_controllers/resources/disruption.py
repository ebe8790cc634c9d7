"""PodDisruptionBudget of the serving pods."""

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.serving import COMPONENT
from recstack_controllers.resources.stack import Stack


def budget(stack: Stack) -> Manifest:
    """At most one pod away: a minimum would block every drain of a stack with one pod."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": stack.metadata(names.gateway(stack.name), COMPONENT),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.selector(stack.name, COMPONENT)},
        },
    }
