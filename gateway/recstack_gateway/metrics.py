"""What Prometheus is told."""

from prometheus_client import Counter, Gauge, Histogram

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
DEGRADED = Counter("recstack_degraded_total", "Answers that could not be filtered by what the user saw.")
EVENTS = Counter("recstack_events_total", "Events, by outcome.", ["outcome"])
STATE = Gauge(
    "recstack_version_state", "1 for the state that a version has in this pod.", ["version", "state"]
)
LIVE = Gauge("recstack_version_live", "1 for the version that answers in this pod.", ["version"])
LOADS = Counter("recstack_loads_total", "Loads of models into Triton, those after a failure included.")
