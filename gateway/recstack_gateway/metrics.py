"""What Prometheus is told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

RECOMMEND = Histogram(
    "recstack_recommend_seconds", "Time of POST /v1/recommend, by HTTP status.", ["status"], buckets=_SECONDS
)
BATCH = Histogram(
    "recstack_recommend_batch_seconds",
    "Time of POST /v1/recommend:batch, by HTTP status.",
    ["status"],
    buckets=_SECONDS,
)
INFER = Histogram(
    "recstack_triton_seconds", "Time of a request inside Triton, gRPC included.", buckets=_SECONDS
)
STAGE = Histogram(
    "recstack_stage_seconds",
    "Time of a stage of the fused graph, for each request that it answered.",
    ["stage"],
    buckets=(2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.025, 0.1, 1),
)
DEGRADED = Counter("recstack_degraded_total", "Answers that could not be filtered by what the user saw.")
EVENTS = Counter("recstack_events_total", "Events, by outcome.", ["outcome"])
VERSION_REQUESTS = Counter(
    "recstack_version_requests_total",
    "Requests by the version that they went to, mirrored ones too, by outcome.",
    ["version", "outcome"],
)
VERSION_SECONDS = Histogram(
    "recstack_version_seconds", "Time of a request inside Triton, by version.", ["version"], buckets=_SECONDS
)
VERSION_CLICKS = Counter(
    "recstack_version_clicks_total", "Events that follow a recommendation, by version.", ["version"]
)
STATE = Gauge(
    "recstack_version_state", "1 for the state that a version has in this pod.", ["version", "state"]
)
LIVE = Gauge("recstack_version_live", "1 for the version that answers in this pod.", ["version"])
LOADS = Counter("recstack_loads_total", "Loads of models into Triton, those after a failure included.")


@dataclass(frozen=True)
class Waited:
    """What Triton counted of a version since it was loaded; with the wait in the gateway."""

    requests: int
    queue_seconds: float


class WaitCollector(Collector):
    """Triton's own counts of requests and of their wait, of all versions that it has loaded.

    The wait is the sum over a version's models: a request of an ensemble waits before each of its parts, and
    a mean over models would show a fifteenth of it; the gateway's own queue is in it. Source:
    Triton's statistics extension.
    """

    def __init__(self) -> None:
        self.waited: Mapping[str, Waited] = {}

    def collect(self) -> Iterator[CounterMetricFamily]:
        """As prometheus_client asks."""
        requests = CounterMetricFamily(
            "recstack_triton_requests", "Requests that Triton answered, by version.", labels=["version"]
        )
        queue = CounterMetricFamily(
            "recstack_queue_seconds",
            "Time that requests waited, in Triton and for it, by version.",
            labels=["version"],
        )
        for version, one in self.waited.items():
            requests.add_metric([version], one.requests)
            queue.add_metric([version], one.queue_seconds)
        yield requests
        yield queue


WAITS = WaitCollector()
REGISTRY.register(WAITS)
