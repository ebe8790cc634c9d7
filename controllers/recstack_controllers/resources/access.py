"""Identities of pods that watch their plan and read repositories, no more."""

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.stack import Stack

RBAC = "rbac.authorization.k8s.io"
NAMES = {"serving": names.gateway, "events": names.events}
"""Of the pods' account, by component."""


def service_account(stack: Stack, component: str = "serving") -> Manifest:
    """Account of the pods."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": stack.metadata(NAMES[component](stack.name), component),
        "automountServiceAccountToken": False,
    }


def role(stack: Stack, component: str = "serving") -> Manifest:
    """Read ConfigMaps: names of repositories are not known beforehand, so the rule names none.

    Pods that work off events need the plan only, whose name is known; a watch by name needs ``list``, too.
    """
    rule: Manifest = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}
    if component == "events":
        rule["resourceNames"] = [names.plan(stack.name)]
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": stack.metadata(NAMES[component](stack.name), component),
        "rules": [rule],
    }


def role_binding(stack: Stack, component: str = "serving") -> Manifest:
    """Gives the account its role."""
    name = NAMES[component](stack.name)
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": stack.metadata(name, component),
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": stack.namespace}],
    }
