"""What the load saw, in figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WELL, FAILED, MIXED = 0, 1, 2


@dataclass(frozen=True)
class Swap:
    """One change of the version that answers; seconds since 1970. ``done``: the old one is unloaded."""

    asked: float
    done: float
    version: str


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def flips(requests: Sequence[Sequence[Any]], began: float, swaps: Sequence[Swap]) -> list[float]:
    """For each swap, seconds from the first answer of the new version to the last of the old, over all pods.

    By the times at which requests were due, so the wait of a slow answer is no part of it.
    """
    spans = []
    for swap in swaps:
        inside = [one for one in requests if swap.asked <= began + one[0] <= swap.done]
        new = [one[0] for one in inside if one[3] == swap.version]
        old = [one[0] for one in inside if one[3] not in {swap.version, ""}]
        if new and old:
            spans.append(max(0.0, max(old) - min(new)))
    return spans


def summary(seen: dict[str, Any], swaps: Sequence[Swap]) -> dict[str, Any]:
    """Requests, failures, mixes, latency in and out of swaps, spans of flips."""
    requests, began = seen["requests"], seen["began"]
    inside: list[float] = []
    outside: list[float] = []
    position = 0
    for at, milliseconds, *_ in sorted(requests):
        moment = began + at
        while position < len(swaps) and swaps[position].done < moment:
            position += 1
        swapping = position < len(swaps) and swaps[position].asked <= moment
        (inside if swapping else outside).append(milliseconds)
    spans = flips(requests, began, swaps)
    during, without = percentile(inside, 0.99), percentile(outside, 0.99)
    return {
        "requests": len(requests),
        "failed": sum(one[2] == FAILED for one in requests),
        "mixed": sum(one[2] == MIXED for one in requests),
        "usersAlike": seen["alike"],
        "errors": seen["errors"],
        "p50Ms": {"swapping": percentile(inside, 0.5), "resting": percentile(outside, 0.5)},
        "p99Ms": {"swapping": during, "resting": without},
        "p99Ratio": round(during / without, 3),
        "flipSeconds": {"p50": round(percentile(spans, 0.5), 3), "max": round(max(spans, default=0.0), 3)},
    }
