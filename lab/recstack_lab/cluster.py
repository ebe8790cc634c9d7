"""What is asked of a lab's cluster: apply manifests, and wait until it can run pods."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from recstack_lab.binaries import binary
from recstack_lab.commands import run
from recstack_lab.config import Lab, LabError
from recstack_lab.probes import wait_until

GPU = "nvidia.com/gpu"
_CALL_SECONDS = 30.0


class Cluster:
    """kubectl on the administrator's kubeconfig of one lab."""

    def __init__(self, lab: Lab) -> None:
        """Take the lab; nothing is called yet."""
        self._lab = lab
        self._kubectl = [str(binary("kubectl")), f"--kubeconfig={lab.kubeconfig}"]

    def kubectl(self, *words: str, stdin: str | None = None, timeout: float = _CALL_SECONDS) -> str:
        """Run kubectl; what it prints, or LabError."""
        return run([*self._kubectl, *words], stdin=stdin, timeout=timeout)

    def get(self, *words: str) -> dict[str, Any] | None:
        """An object, or None while it is not there or the cluster does not answer."""
        try:
            answer = self.kubectl("get", *words, "--output=json", "--request-timeout=5s")
        except LabError:
            return None
        return dict(json.loads(answer))

    def apply(self, manifests: str) -> None:
        """Server-side apply of a stream of manifests."""
        words = ("apply", "--server-side", "--force-conflicts", "--field-manager=recstack-lab", "-f", "-")
        self.kubectl(*words, stdin=manifests)

    def wait_for_node(self, seconds: float, alive: Callable[[], str | None]) -> None:
        """Until the node is Ready and offers what the lab was asked for."""
        wait_until(lambda: not self.node_lacks(), "the node is Ready", seconds, alive)

    def node_lacks(self) -> str:
        """What is missing for the node to take pods; empty when nothing is."""
        found = self.get("node", self._lab.node_name)
        if found is None:
            return "it has not registered"
        if not _condition(found, "Ready"):
            return "it is not Ready"
        gpus = int(found["status"]["allocatable"].get(GPU, "0"))
        if gpus != self._lab.gpus:
            return f"it offers {gpus} of {self._lab.gpus} simulated {GPU}"
        # A pod that is created before its namespace's account exists is refused.
        if self.get("serviceaccount", "default", "--namespace=default") is None:
            return "the default service account is not there"
        return ""

    def wait_for_deployment(
        self, namespace: str, name: str, seconds: float, alive: Callable[[], str | None] = lambda: None
    ) -> None:
        """Until all pods of the deployment's present generation are ready."""
        wait_until(
            lambda: self.deployment_available(namespace, name),
            f"deployment {namespace}/{name} is available",
            seconds,
            alive,
        )

    def deployment_available(self, namespace: str, name: str) -> bool:
        """Whether its pods are of the present generation and ready."""
        found = self.get("deployment", name, f"--namespace={namespace}")
        if (
            found is None
            or found.get("status", {}).get("observedGeneration") != found["metadata"]["generation"]
        ):
            return False
        status = found["status"]
        return bool(
            status.get("updatedReplicas", 0) >= found["spec"]["replicas"] and _condition(found, "Available")
        )


def _condition(thing: dict[str, Any], kind: str) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)
