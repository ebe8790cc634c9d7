"""Whether watches move: what a list shows must have come as an event, or soon come.

A watch that died unseen looks like a quiet cluster. So every ``PERIOD`` each watched kind is listed; an
object whose version the watch has not told of within ``GRACE`` seconds proves the watch dead, and the process
unhealthy. The same pass marks what was missed as dirty, so that a lost event costs a minute at most.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Cluster, ClusterError, Kind, Manifest

from recstack_operator.watches import OWN, Observer

LOG = logging.getLogger(__name__)
PERIOD, GRACE = 60.0, 30.0
Identity = tuple[str, str]


class Audit:
    """What watches told of each object, and what they should have."""

    def __init__(self, cluster: Cluster, watched: Sequence[Kind], namespaces: Sequence[str],
                 monotonic: Callable[[], float]) -> None:  # fmt: skip
        self._cluster, self._watched = cluster, watched
        self._namespaces: Sequence[str | None] = list(namespaces) or [None]
        self._monotonic = monotonic
        self._told: dict[Identity, str] = {}
        self._gone: set[Identity] = set()
        self._late: dict[Identity, float] = {}

    def told(self, kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
        """A watch told of an object."""
        identity = (kind.kind, body["metadata"]["uid"])
        self._late.pop(identity, None)
        if deleted:
            self._told.pop(identity, None)
            self._gone.add(identity)
        else:
            self._told[identity] = body["metadata"]["resourceVersion"]

    def stale(self) -> str | None:
        """Why watches are thought dead; None: they move."""
        now = self._monotonic()
        late = [kind for (kind, _), since in self._late.items() if now - since > GRACE]
        return f"the watch of {late[0]} missed a change {GRACE:.0f} s ago" if late else None

    async def look(self, missed: Observer) -> bool:
        """List everything once; ``missed`` is called for what the watches have not told of.

        False: the API server did not answer, and nothing is known.
        """
        present: set[Identity] = set()
        self._gone.clear()
        for kind in self._watched:
            labels = {} if kind in OWN else {names.STACK: None}
            try:
                found = [
                    one
                    for namespace in self._namespaces
                    for one in await self._cluster.list(kind, namespace, labels)
                ]
            except ClusterError as error:
                LOG.warning("the audit of watches is put off: %s", error)
                return False
            for one in found:
                present.add((kind.kind, one["metadata"]["uid"]))
                self._compare(kind, one, missed)
        for identity in set(self._late) - present:
            del self._late[identity]
        return True

    def _compare(self, kind: Kind, one: Manifest, missed: Observer) -> None:
        identity = (kind.kind, one["metadata"]["uid"])
        # A watch may be ahead of the list, by a change or by the deletion. Versions of one kind are numbers
        # that rise: https://kep.k8s.io/5504.
        ahead = int(self._told.get(identity, "0")) >= int(one["metadata"]["resourceVersion"])
        if ahead or identity in self._gone:
            self._late.pop(identity, None)
            return
        # Since the first look: a change of an object that was late before does not make the watch younger.
        self._late.setdefault(identity, self._monotonic())
        missed(kind, one, False)
