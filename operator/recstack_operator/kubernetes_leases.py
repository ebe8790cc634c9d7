"""The Lease on a real API server."""

from typing import Any

import httpx2
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from recstack_controllers.kit.cluster import ClusterError

from recstack_operator.lease import Record

_LEASE: Any = create_namespaced_resource("coordination.k8s.io", "v1", "Lease", "leases")


class KubernetesLeases:
    """One named Lease."""

    def __init__(self, client: AsyncClient, namespace: str, name: str) -> None:
        self._client: Any = client  # its overloads tell resources apart by static type
        self._namespace, self._name = namespace, name

    async def get(self) -> Record | None:
        """As the protocol has it."""
        try:
            return dict(await self._call(self._client.get(_LEASE, self._name, namespace=self._namespace)))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    async def create(self, spec: Record) -> None:
        """As the protocol has it."""
        metadata = {"name": self._name, "namespace": self._namespace}
        made = _LEASE.from_dict(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        )
        await self._call(self._client.create(made, namespace=self._namespace))

    async def replace(self, lease: Record) -> None:
        """As the protocol has it; the record's resourceVersion guards it."""
        content = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease}
        await self._call(self._client.replace(_LEASE.from_dict(content), namespace=self._namespace))

    async def _call(self, request: Any) -> Any:
        try:
            return await request
        except ApiError as error:
            raise ClusterError(str(error), error.status.code or 0, True) from error
        except httpx2.HTTPStatusError as error:
            raise ClusterError(str(error), error.response.status_code, True) from error
        except httpx2.HTTPError as error:
            raise ClusterError(repr(error), 0, True) from error
