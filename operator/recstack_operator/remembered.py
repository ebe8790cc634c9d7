"""Reads are answered from what watches told, as controller-runtime's cache does; writes are seen at once.

https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/cache
"""

from collections.abc import Mapping
from typing import Any

from recstack_controllers import kinds
from recstack_controllers.kit.cluster import FIELD_MANAGER, Cluster, Kind, Manifest, carries

from recstack_operator.through import Through
from recstack_operator.watches import OWN

KEPT = frozenset(kind.kind for kind in (*OWN, *kinds.CHILDREN) if kind not in (kinds.SECRET, kinds.JOB))
"""Kinds that may be known a moment late: what follows from an old one is put right after the next event, or
refused, as a status and a plan are written only over what was read. Whether a Job is there is always asked,
since one that is not is made; Secrets are not watched."""
TOMBSTONES = 1000
Identity = tuple[str, str | None, str]


class Remembered(Through):
    """A Cluster that reads what it was told and what it wrote.

    That watches move, the audit sees to. Who reads an object must not change it.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.complete = False
        """Whether it was told of all that there is: what it does not know is not asked for, but not there."""
        self._known: dict[Identity, Manifest] = {}
        self._gone: dict[Identity, int] = {}
        """Versions at which the last ones were deleted: what is told late does not bring them back."""

    def told(self, kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
        """A watch told of an object."""
        if kind.kind not in KEPT:
            return
        found = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        if deleted:
            self._bury(found)
        else:
            self._remember(found)

    def _remember(self, found: Manifest) -> None:
        identity, version = _identity(found), _version(found)
        known = self._known.get(identity)
        # Versions of one kind are numbers that rise: https://kep.k8s.io/5504.
        is_old = known is not None and _version(known) > version
        if not is_old and version > self._gone.get(identity, -1):
            self._known[identity] = found

    def _bury(self, found: Manifest) -> None:
        identity, version = _identity(found), _version(found)
        known = self._known.get(identity)
        if known is not None and _version(known) <= version:  # else it was made anew since
            del self._known[identity]
        self._gone.pop(identity, None)
        self._gone[identity] = version
        while len(self._gone) > TOMBSTONES:
            del self._gone[next(iter(self._gone))]

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        """As the protocol has it."""
        known = self._known.get((kind.kind, namespace, name))
        if known is not None or (self.complete and kind.kind in KEPT):
            return known
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str | None]
    ) -> list[Manifest]:
        """As the protocol has it."""
        if not (self.complete and kind.kind in KEPT):
            return await self._cluster.list(kind, namespace, labels)
        # Chosen before they are sorted: they are a few of all that is known.
        chosen = [
            (who, found)
            for who, found in self._known.items()
            if who[0] == kind.kind and namespace in (None, who[1]) and carries(found, labels)
        ]
        return [found for _, found in sorted(chosen)]

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """As the protocol has it."""
        return self._written(await self._cluster.apply(manifest, manager))

    async def patch_status(
        self, kind: Kind, namespace: str | None, name: str, status: Manifest, resource_version: str | None
    ) -> Manifest:
        """As the protocol has it."""
        return self._written(
            await self._cluster.patch_status(kind, namespace, name, status, resource_version)
        )

    def _written(self, done: Manifest) -> Manifest:
        if done["kind"] in KEPT:
            self._remember(done)
        return done


def _identity(found: Manifest) -> Identity:
    metadata = found["metadata"]
    return found["kind"], metadata.get("namespace"), metadata["name"]


def _version(found: Manifest) -> int:
    return int(found["metadata"]["resourceVersion"])
