"""Identity of the serving pods: they watch their plan and read repositories, no more."""

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.stack import Stack

RBAC = "rbac.authorization.k8s.io"


def service_account(stack: Stack) -> Manifest:
    """Account of the serving pods."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": stack.metadata(names.gateway(stack.name), "serving"),
        "automountServiceAccountToken": False,
    }


def role(stack: Stack) -> Manifest:
    """Read ConfigMaps: names of repositories are not known beforehand, so the rule names none."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": stack.metadata(names.gateway(stack.name), "serving"),
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}],
    }


def role_binding(stack: Stack) -> Manifest:
    """Gives the account its role."""
    name = names.gateway(stack.name)
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": stack.metadata(name, "serving"),
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": stack.namespace}],
    }
