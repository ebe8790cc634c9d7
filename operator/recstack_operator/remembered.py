"""Reads of objects that rest are answered from what their watches told, as controller-runtime's cache does.

https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/cache
"""

from collections.abc import Mapping
from typing import Any

from recstack_controllers import kinds
from recstack_controllers.kit.cluster import (
    FIELD_MANAGER,
    Cluster,
    EventType,
    Kind,
    Manifest,
    Propagation,
)

RESTING = frozenset(
    kind for kind in kinds.CHILDREN if kind not in (kinds.SECRET, kinds.CONFIG_MAP, kinds.JOB)
)
"""Kinds that one operator's watch may know a moment late: the next event puts right what was written after an
old one. The plan and Jobs are no such: a plan made from an old one would undo a flip."""
Identity = tuple[str, str | None, str]


class Remembered:
    """A Cluster that reads children from what it was told and what it wrote.

    That watches move, the audit sees to. Who reads an object must not change it.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.complete = False
        """Whether it was told of all that there is: what it does not know is not asked for, but not there."""
        self._known: dict[Identity, Manifest] = {}

    def told(self, kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
        """A watch told of an object."""
        if kind not in RESTING:
            return
        if deleted:
            self._known.pop(_identity(kind, body), None)
        else:
            self._remember(kind, {"apiVersion": kind.api_version, "kind": kind.kind, **body})

    def _remember(self, kind: Kind, found: Manifest) -> None:
        known = self._known.get(identity := _identity(kind, found))
        # Versions of one kind are numbers that rise: https://kep.k8s.io/5504.
        if known is None or _version(known) <= _version(found):
            self._known[identity] = found

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        """As the protocol has it."""
        known = self._known.get((kind.kind, namespace, name))
        if known is not None or (self.complete and kind in RESTING):
            return known
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str | None]
    ) -> list[Manifest]:
        """As the protocol has it."""
        return await self._cluster.list(kind, namespace, labels)

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """As the protocol has it."""
        done = await self._cluster.apply(manifest, manager)
        kind = next((one for one in RESTING if one.kind == done["kind"]), None)
        if kind is not None:
            self._remember(kind, done)
        return done

    async def delete(self, kind: Kind, namespace: str | None, name: str, propagation: Propagation) -> None:
        """As the protocol has it; its watch tells when it is gone."""
        await self._cluster.delete(kind, namespace, name, propagation)

    async def patch_status(
        self, kind: Kind, namespace: str | None, name: str, status: Manifest, resource_version: str | None
    ) -> Manifest:
        """As the protocol has it."""
        return await self._cluster.patch_status(kind, namespace, name, status, resource_version)

    async def event(self, reference: Manifest, type: EventType, reason: str, message: str) -> None:
        """As the protocol has it."""
        await self._cluster.event(reference, type, reason, message)

    async def get_json(self, url: str, seconds: float) -> Any:
        """As the protocol has it."""
        return await self._cluster.get_json(url, seconds)


def _identity(kind: Kind, body: Mapping[str, Any]) -> Identity:
    metadata = body["metadata"]
    return kind.kind, metadata.get("namespace"), metadata["name"]


def _version(found: Manifest) -> int:
    return int(found["metadata"]["resourceVersion"])
