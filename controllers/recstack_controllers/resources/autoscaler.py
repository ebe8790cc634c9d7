"""HorizontalPodAutoscaler of the serving pods."""

from recstack_crds.v1alpha1.platform import Autoscaling

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.serving import COMPONENT
from recstack_controllers.resources.stack import Stack

METRIC = "recstack_queue_milliseconds"
"""Mean wait of a request to the entry model, ms, of a pod; served by a metrics adapter."""


def autoscaler(stack: Stack, wanted: Autoscaling) -> Manifest:
    """Scales on the entry model's own wait: an average over all models hides it."""
    name = names.gateway(stack.name)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": stack.metadata(name, COMPONENT),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": METRIC},
                        "target": {"type": "AverageValue", "averageValue": str(wanted.queue_milliseconds)},
                    },
                }
            ],
        },
    }
