"""Pure verdict on a version in its rollout: what all pods counted of it against the one before it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from recstack_crds.v1alpha1.rollout import ClickThrough, Shadow, Soak

from recstack_controllers.kit.sequential import evidence
from recstack_controllers.proof import LATENCY_GROWTH, PodReport, VersionStatistics
from recstack_controllers.resources.configmaps import Baseline

TAIL = 0.01
"""Share of requests beyond the p99."""
FEWEST = 100
"""Requests of which a p99 can be told."""


@dataclass(frozen=True)
class Figures:
    """Counts over all pods; ``latency``: requests by the upper bound of their time, milliseconds."""

    requests: int = 0
    errors: int = 0
    replies: int = 0
    clicks: int = 0
    latency: Mapping[float, int] = field(default_factory=dict)
    mirrored: int = 0
    overlap: float = 0.0
    """Sum over mirrored requests of the share of items that both replies hold."""

    @property
    def p99(self) -> float | None:
        """Latency that 99 % kept below, ms, to the resolution of the buckets; None: too few requests."""
        total = sum(self.latency.values())
        if total < FEWEST:
            return None
        left = total * TAIL
        for bound in sorted(self.latency, reverse=True):
            left -= self.latency[bound]
            if left < 0:
                return bound
        return None

    def slower(self, than: float) -> int:
        """Requests of which it is sure that they took longer than ``than`` ms."""
        return sum(count for bound, count in self.latency.items() if bound / LATENCY_GROWTH >= than)


def total(reports: Sequence[PodReport], version: str, epoch: str) -> Figures:
    """Sum over pods of what they counted in ``epoch``.

    A pod that ends takes its counts along, and one that has not read the plan yet has none of the epoch:
    the sums are of fewer requests then, for both versions alike.
    """
    found: list[VersionStatistics] = []
    for report in reports:
        one = (report.versions or {}).get(version)
        if one is not None and one.statistics is not None and one.statistics.epoch == epoch:
            found.append(one.statistics)
    latency: dict[float, int] = {}
    for part in found:
        for bound, count in part.latency.items():
            latency[bound] = latency.get(bound, 0) + count
    return Figures(
        requests=sum(one.requests for one in found),
        errors=sum(one.errors for one in found),
        replies=sum(one.replies for one in found),
        clicks=sum(one.clicks for one in found),
        latency=latency,
        mirrored=sum(one.mirrored for one in found),
        overlap=sum(one.overlap for one in found),
    )


class Call(StrEnum):
    """What a verdict says."""

    GO = "Go"
    HOLD = "Hold"
    FAIL = "Fail"


@dataclass(frozen=True)
class Judgement:
    """A call; ``reason`` only of a failure."""

    call: Call
    message: str
    reason: str = ""


def judge(new: Figures, old: Baseline, soak: Soak, chance: float) -> Judgement:
    """Errors and latency of ``new``. ``chance``: of a false alarm of each criterion, over all looks."""
    rate = new.errors / new.requests if new.requests else 0.0
    bounds = []
    if soak.max_error_rate is not None:
        bounds.append((soak.max_error_rate, f"at most {soak.max_error_rate:.2%} may"))
    if soak.max_error_increase is not None and old.requests:
        before = old.errors / old.requests
        bound = before + soak.max_error_increase
        bounds.append((bound, f"{before:.2%} did of the version before and {bound:.2%} may"))
    for bound, text in bounds:
        if shown(new.errors, new.requests, bound, chance):
            what = f"{new.errors} of {new.requests} requests failed ({rate:.2%}); {text}"
            return Judgement(Call.FAIL, what, "ErrorRate")
    if soak.max_latency_ratio is not None and old.p99 is not None:
        limit = old.p99 * soak.max_latency_ratio
        slow, count = new.slower(limit), sum(new.latency.values())
        if shown(slow, count, TAIL, chance):
            what = (
                f"{slow} of {count} requests took more than {limit:.4g} ms, which is "
                f"{soak.max_latency_ratio:g} times the p99 of the version before"
            )
            return Judgement(Call.FAIL, what, "Latency")
    if new.requests < soak.min_requests:
        return Judgement(Call.HOLD, f"{new.requests} of {soak.min_requests} requests answered so far")
    return Judgement(Call.GO, f"{new.requests} requests, {new.errors} failed{_p99(new)}")


def clicks(new: Figures, old: Figures, ask: ClickThrough, chance: float) -> Judgement:
    """Clicks for each reply, of versions that answer different people at the same time.

    Of all clicks, the share that falls to one version tells which is better: with equal rates it is that
    version's share of the replies.
    """
    told = (
        f"{new.clicks} clicks on {new.replies} replies, {old.clicks} on {old.replies} of the version before"
    )
    both = new.clicks + old.clicks
    if ask.max_drop is not None and shown(
        old.clicks, both, _share(old.replies, new.replies * (1 - ask.max_drop)), chance
    ):
        return Judgement(
            Call.FAIL, f"{told}: a drop of more than {ask.max_drop:.1%} is shown", "ClickThrough"
        )
    if ask.min_lift is not None and not shown(
        new.clicks, both, _share(new.replies * (1 + ask.min_lift), old.replies), chance
    ):
        return Judgement(Call.HOLD, f"{told}: a lift of {ask.min_lift:.1%} is not shown", "LiftNotShown")
    return Judgement(Call.GO, told)


def overlap(new: Figures, ask: Shadow, least: int) -> Judgement:
    """Whether mirrored replies hold the items that were given."""
    if new.mirrored < max(1, least):
        return Judgement(Call.HOLD, f"{new.mirrored} of {max(1, least)} requests mirrored so far")
    mean = new.overlap / new.mirrored
    told = f"{new.mirrored} requests mirrored, replies share {mean:.1%} of their items"
    if ask.min_overlap is not None and mean < ask.min_overlap:
        return Judgement(Call.FAIL, f"{told}; at least {ask.min_overlap:.1%} is asked", "Overlap")
    return Judgement(Call.GO, told)


def shown(successes: int, trials: int, bound: float, chance: float) -> bool:
    """Whether a share above ``bound`` is shown, by a test that errs at most by ``chance`` over all looks."""
    return evidence(successes, trials, bound) >= 1 / chance


def _share(mine: float, others: float) -> float:
    return mine / (mine + others) if mine + others else math.inf


def _p99(of: Figures) -> str:
    return "" if of.p99 is None else f", p99 {of.p99:.4g} ms"
