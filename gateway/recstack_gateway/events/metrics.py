"""What Prometheus is told of the worker."""

from prometheus_client import Counter, Gauge

PROCESSED = Counter("recstack_events_processed_total", "Events worked off.")
POISONED = Counter("recstack_events_poisoned_total", "Events put aside as dead letters, by kind.", ["kind"])
LAG = Gauge("recstack_events_lag", "Events that are accepted and not worked off.")
LAG_SECONDS = Gauge("recstack_events_lag_seconds", "Age of the oldest of them, seconds.")
