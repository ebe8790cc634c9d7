"""A Cluster around another, for those that change some of its calls."""

from collections.abc import Mapping
from typing import Any

from recstack_controllers.kit.cluster import (
    FIELD_MANAGER,
    Cluster,
    EventType,
    Kind,
    Manifest,
    Propagation,
)


class Through:
    """Passes every call on; ``_before`` is called ahead of each that asks the API server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def _before(self, verb: str, kind: str) -> None:
        """Nothing."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        """As the protocol has it."""
        await self._before("get", kind.kind)
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str | None]
    ) -> list[Manifest]:
        """As the protocol has it."""
        await self._before("list", kind.kind)
        return await self._cluster.list(kind, namespace, labels)

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """As the protocol has it."""
        await self._before("apply", manifest["kind"])
        return await self._cluster.apply(manifest, manager)

    async def delete(self, kind: Kind, namespace: str | None, name: str, propagation: Propagation) -> None:
        """As the protocol has it."""
        await self._before("delete", kind.kind)
        await self._cluster.delete(kind, namespace, name, propagation)

    async def patch_status(
        self, kind: Kind, namespace: str | None, name: str, status: Manifest, resource_version: str | None
    ) -> Manifest:
        """As the protocol has it."""
        await self._before("patch_status", kind.kind)
        return await self._cluster.patch_status(kind, namespace, name, status, resource_version)

    async def event(self, reference: Manifest, type: EventType, reason: str, message: str) -> None:
        """As the protocol has it."""
        await self._before("create", "Event")
        await self._cluster.event(reference, type, reason, message)

    async def get_json(self, url: str, seconds: float) -> Any:
        """As the protocol has it."""
        return await self._cluster.get_json(url, seconds)
