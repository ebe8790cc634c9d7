"""What the load saw, in figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WELL, FAILED, MIXED, BROKEN = 0, 1, 2, 3
KILL_SECONDS = 5.0
"""A connection that breaks within so many seconds of a serving pod's kill is the killed pod's."""


@dataclass(frozen=True)
class Swap:
    """One change of the version that answers; seconds since 1970. ``done``: the old one is unloaded."""

    asked: float
    done: float
    version: str


@dataclass(frozen=True)
class Kill:
    """``at``: seconds since 1970; ``what`` was killed; ``serving``: it was a pod that answers."""

    at: float
    what: str
    serving: bool


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def moves(
    requests: Sequence[Sequence[Any]], began: float, swaps: Sequence[Swap]
) -> list[tuple[float, float]]:
    """For each swap, over all pods: seconds from when it was asked for until only the new version answers,
    and of these the seconds in which both did.

    By the times at which requests were due, so the wait of a slow answer is no part of it.
    """
    spans = []
    for swap in swaps:
        inside = [one for one in requests if swap.asked <= began + one[0] <= swap.done]
        new = [one[0] for one in inside if one[3] == swap.version]
        old = [one[0] for one in inside if one[3] not in {swap.version, ""}]
        if new and old:
            over = max(*old, min(new))
            spans.append((began + over - swap.asked, over - min(new)))
    return spans


def beyond(requests: Sequence[Sequence[Any]], began: float, kills: Sequence[Kill]) -> int:
    """Requests that were not answered, but those under way in a serving pod when it was killed.

    Such a one ends with its connection; whoever got an answer, if only 503, was not cut off.
    """
    moments = [kill.at for kill in kills if kill.serving]
    count = 0
    for at, milliseconds, outcome, _ in requests:
        ended = began + at + milliseconds / 1000
        own = outcome == BROKEN and any(moment <= ended <= moment + KILL_SECONDS for moment in moments)
        count += outcome in {FAILED, BROKEN} and not own
    return count


def killing(seen: dict[str, Any], kills: Sequence[Kill]) -> dict[str, Any]:
    """Kills by what was killed, and what they did to requests."""
    requests = seen["requests"]
    lost = beyond(requests, seen["began"], kills)
    return {
        "kills": dict(Counter(kill.what for kill in kills)),
        "requests": len(requests),
        "failedBeyondInFlight": lost,
        "inFlightInKilledPods": sum(one[2] in {FAILED, BROKEN} for one in requests) - lost,
        "mixed": sum(one[2] == MIXED for one in requests),
        "errors": seen["errors"],
    }


def summary(seen: dict[str, Any], swaps: Sequence[Swap], warm: float = 0.0) -> dict[str, Any]:
    """Requests, failures, mixes, latency in and out of swaps, how long moves and their flips took.

    The first ``warm`` seconds count for all but latency: connections are made, nobody is swapping.
    """
    requests, began = seen["requests"], seen["began"]
    inside: list[float] = []
    outside: list[float] = []
    position = 0
    for at, milliseconds, *_ in sorted(requests):
        moment = began + at
        while position < len(swaps) and swaps[position].done < moment:
            position += 1
        swapping = position < len(swaps) and swaps[position].asked <= moment
        if swapping or at >= warm:
            (inside if swapping else outside).append(milliseconds)
    spans = moves(requests, began, swaps)
    until_moved, flips = [one[0] for one in spans], [one[1] for one in spans]
    during, without = percentile(inside, 0.99), percentile(outside, 0.99)
    return {
        "requests": len(requests),
        "requestsSwapping": len(inside),
        "failed": sum(one[2] in {FAILED, BROKEN} for one in requests),
        "mixed": sum(one[2] == MIXED for one in requests),
        "usersAlike": seen["alike"],
        "errors": seen["errors"],
        "p50Ms": {"swapping": percentile(inside, 0.5), "resting": percentile(outside, 0.5)},
        "p99Ms": {"swapping": during, "resting": without},
        "p99Ratio": round(during / without, 3),
        "movedSeconds": _spread(until_moved),
        "flipSeconds": _spread(flips),
    }


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {"p50": round(percentile(seconds, 0.5), 3), "max": round(max(seconds, default=0.0), 3)}
