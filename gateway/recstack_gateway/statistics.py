"""What a pod counts of each version: for the operator since the present epoch, for Prometheus for ever."""

import math
from collections import OrderedDict
from typing import Any

from recstack_gateway import metrics

GROWTH = 2**0.25
"""Between the bounds of the latency buckets, the first of which is 0.1 ms."""
FINEST = 0.0001
REMEMBERED = 50_000
"""Event ids, so that one that is sent again counts once in this pod."""


class Statistics:
    """Of one version."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._answered = metrics.VERSION_REQUESTS.labels(version, "answered")
        self._failed = metrics.VERSION_REQUESTS.labels(version, "failed")
        self._seconds = metrics.VERSION_SECONDS.labels(version)
        self._clicks = metrics.VERSION_CLICKS.labels(version)
        self.begin("")

    def begin(self, epoch: str) -> None:
        """Count anew."""
        self.epoch = epoch
        self._requests = self._errors = self._replies = self._clicked = self._mirrored = 0
        self._overlap = self._difference = 0.0
        self._latency: dict[int, int] = {}

    def took(self, seconds: float) -> None:
        """How long one request took."""
        self._seconds.observe(seconds)
        bucket = max(0, math.ceil(math.log(max(seconds, FINEST) / FINEST, GROWTH)))
        self._latency[bucket] = self._latency.get(bucket, 0) + 1

    def answered(self, requests: int, shown: int) -> None:
        """So many requests were answered, ``shown`` of them with items that somebody sees."""
        self._answered.inc(requests)
        self._requests += requests
        self._replies += shown

    def failed(self, requests: int) -> None:
        """So many requests were not answered."""
        self._failed.inc(requests)
        self._requests += requests
        self._errors += requests

    def clicked(self) -> None:
        """Somebody chose what it had recommended."""
        self._clicks.inc()
        self._clicked += 1

    def compared(self, overlap: float, difference: float) -> None:
        """A mirrored reply: share of items in both, mean distance of their scores."""
        self._mirrored += 1
        self._overlap += overlap
        self._difference += difference

    def report(self) -> dict[str, Any]:
        """What ``GET /versions`` says; latency is counted by the upper bound in milliseconds."""
        return {
            "epoch": self.epoch,
            "requests": self._requests,
            "errors": self._errors,
            "replies": self._replies,
            "clicks": self._clicked,
            "mirrored": self._mirrored,
            "overlap": self._overlap,
            "scoreDifference": self._difference,
            "latency": {
                f"{FINEST * 1000 * GROWTH**bucket:.6g}": count
                for bucket, count in sorted(self._latency.items())
            },
        }

    def forget(self) -> None:
        """Take the version out of Prometheus: names of versions come and go without end."""
        for outcome in ("answered", "failed"):
            metrics.VERSION_REQUESTS.remove(self._version, outcome)
        metrics.VERSION_SECONDS.remove(self._version)
        metrics.VERSION_CLICKS.remove(self._version)


class Once:
    """Ids that were there already, the latest of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def new(self, id: str) -> bool:
        """Whether ``id`` was not there yet; from now on it is."""
        if id in self._known:
            return False
        self._known[id] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True
