"""Reads of objects that rest are answered from what their watches told, as controller-runtime's cache does.

https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/cache
"""

from collections.abc import Mapping
from typing import Any

from recstack_controllers import kinds
from recstack_controllers.kit.cluster import FIELD_MANAGER, Cluster, Kind, Manifest

from recstack_operator.through import Through

RESTING = frozenset(
    kind.kind for kind in kinds.CHILDREN if kind not in (kinds.SECRET, kinds.CONFIG_MAP, kinds.JOB)
)
"""Kinds that one operator's watch may know a moment late: the next event puts right what was written after an
old one. The plan and Jobs are no such: a plan made from an old one would undo a flip."""
Identity = tuple[str, str | None, str]


class Remembered(Through):
    """A Cluster that reads children from what it was told and what it wrote.

    That watches move, the audit sees to; they also tell when what was deleted is gone. Who reads an object
    must not change it.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.complete = False
        """Whether it was told of all that there is: what it does not know is not asked for, but not there."""
        self._known: dict[Identity, Manifest] = {}

    def told(self, kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
        """A watch told of an object."""
        if kind.kind not in RESTING:
            return
        if deleted:
            self._known.pop(_identity(kind.kind, body), None)
        else:
            self._remember({"apiVersion": kind.api_version, "kind": kind.kind, **body})

    def _remember(self, found: Manifest) -> None:
        known = self._known.get(identity := _identity(found["kind"], found))
        # Versions of one kind are numbers that rise: https://kep.k8s.io/5504.
        if known is None or _version(known) <= _version(found):
            self._known[identity] = found

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        """As the protocol has it."""
        known = self._known.get((kind.kind, namespace, name))
        if known is not None or (self.complete and kind.kind in RESTING):
            return known
        return await self._cluster.get(kind, namespace, name)

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """As the protocol has it."""
        done = await self._cluster.apply(manifest, manager)
        if done["kind"] in RESTING:
            self._remember(done)
        return done


def _identity(kind: str, body: Mapping[str, Any]) -> Identity:
    metadata = body["metadata"]
    return kind, metadata.get("namespace"), metadata["name"]


def _version(found: Manifest) -> int:
    return int(found["metadata"]["resourceVersion"])
