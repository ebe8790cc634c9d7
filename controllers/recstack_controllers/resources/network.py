"""NetworkPolicies: who may open a connection to what."""

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.stack import Stack


def _policy(stack: Stack, name: str, component: str, ingress: list[Manifest]) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": stack.metadata(name, component),
        "spec": {
            "podSelector": {"matchLabels": names.selector(stack.name, component)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def serving(stack: Stack) -> Manifest:
    """The gateway's port for everybody; Triton is reached by nobody but its gateway."""
    ports = [{"port": names.GATEWAY_PORT, "protocol": "TCP"}]
    return _policy(stack, names.gateway(stack.name), "serving", [{"ports": ports}])


def events(stack: Stack) -> Manifest:
    """Health and metrics of the pod that works off events."""
    ports = [{"port": names.GATEWAY_PORT, "protocol": "TCP"}]
    return _policy(stack, names.events(stack.name), "events", [{"ports": ports}])


def valkey(stack: Stack) -> Manifest:
    """Valkey's port for the stack's own pods: serving, events, Jobs that fill the online store."""
    clients = ["serving", "events", *(["features"] if stack.spec.stores.feast is not None else [])]
    return _policy(
        stack,
        names.valkey(stack.name),
        "valkey",
        [
            {
                "from": [
                    {"podSelector": {"matchLabels": names.selector(stack.name, component)}}
                    for component in clients
                ],
                "ports": [{"port": names.VALKEY_PORT, "protocol": "TCP"}],
            }
        ],
    )


def training(stack: Stack) -> Manifest:
    """Nobody connects to a training step."""
    return _policy(stack, names.training(stack.name), "training", [])


def features(stack: Stack) -> Manifest:
    """Nobody connects to Feast's Jobs."""
    return _policy(stack, names.feast(stack.name), "features", [])
