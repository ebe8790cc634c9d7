"""Prometheus metrics of the process, and the counting of what it writes."""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from recstack_controllers.kit.cluster import Cluster, Kind

from recstack_operator.through import Through

RECONCILE_SECONDS = Histogram(
    "recstack_reconcile_seconds", "Time of one reconcile.", ["kind"], buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15)
)
RECONCILES = Counter("recstack_reconciles_total", "Reconciles by how they ended.", ["kind", "outcome"])
QUEUE = Gauge("recstack_queue_depth", "Keys that wait for a worker.")
LEADER = Gauge("recstack_leader", "1 when this process leads.")
WRITES = Counter("recstack_api_writes_total", "Writes to the API server.", ["verb", "kind"])
CONDITION = Gauge(
    "recstack_condition",
    "Conditions of objects: 1 True, 0 False, -1 Unknown.",
    ["kind", "namespace", "name", "type"],
)
_VALUES = {"True": 1, "False": 0}
_READS = frozenset({"get", "list"})


class ConditionGauge:
    """Keeps the gauge of conditions in step with the objects."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str, str], set[str]] = {}

    def show(self, kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
        """Take over the conditions of ``body``; those of a deleted one go."""
        metadata = body["metadata"]
        who = (kind.kind, metadata["namespace"], metadata["name"])
        found = [] if deleted else (body.get("status") or {}).get("conditions") or []
        for condition in found:
            CONDITION.labels(*who, condition["type"]).set(_VALUES.get(condition["status"], -1))
        types = {condition["type"] for condition in found}
        for type in self._shown.get(who, set()) - types:
            CONDITION.remove(*who, type)
        self._shown[who] = types
        if not types:
            del self._shown[who]


class Counted(Through):
    """A Cluster that counts writes; ``check`` is called ahead of each."""

    def __init__(self, cluster: Cluster, check: Callable[[], None]) -> None:
        super().__init__(cluster)
        self._check = check

    async def _before(self, verb: str, kind: str) -> None:
        if verb not in _READS:
            self._check()
            WRITES.labels(verb, kind).inc()
