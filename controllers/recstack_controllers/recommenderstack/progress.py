"""What is told of a rollout: ``status.rollout`` and its events, from the plan and from what pods counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recstack_crds.v1alpha1.rollout import Rollout, RolloutStatus, VersionFigures

from recstack_controllers.kit import clock
from recstack_controllers.kit.clock import rfc3339
from recstack_controllers.proof import PodReport
from recstack_controllers.recommenderstack import strategy, verdict
from recstack_controllers.recommenderstack.strategy import Look
from recstack_controllers.recommenderstack.verdict import Figures
from recstack_controllers.resources.configmaps import Phase, Plan, Progress

TOLD_EVERY = timedelta(seconds=30)
"""Between two writes of the figures of one step: they change with every request."""


@dataclass(frozen=True)
class Both:
    """Figures of the version that is to take over and of the one before it."""

    candidate: Figures
    baseline: Figures


NONE = Both(Figures(), Figures())


def counted(reports: Sequence[PodReport], progress: Progress | None) -> Callable[[str], Figures]:
    """What the pods counted of a version since the present step began."""

    def of(version: str) -> Figures:
        return verdict.total(reports, version, progress.epoch) if progress is not None else Figures()

    return of


def both(look: Look, progress: Progress | None) -> Both:
    """Both versions of a rollout."""
    if progress is None:
        return NONE
    return Both(look.measured(progress.version), look.measured(progress.previous))


def status(
    before: RolloutStatus | None, plan: Plan, policy: Rollout, *, told: str, figures: Both, now: datetime
) -> RolloutStatus | None:
    """``status.rollout``: the one under way, or how the last one ended."""
    progress = plan.rollout
    if progress is None:
        return _ended(before, plan, now)
    steps = len(strategy.canary(policy).steps) if progress.phase is Phase.CANARY else None
    weight = 100 if progress.phase is Phase.SOAKING else sum(one.weight for one in plan.routes)
    result = RolloutStatus(
        version=progress.version,
        previous=progress.previous,
        phase=progress.phase,
        step=progress.step + 1 if steps else None,
        steps=steps,
        weight=weight,
        since=progress.since,
    )
    position = (result.version, result.phase, result.step, result.since, result.weight)
    if before is not None and position == (
        before.version, before.phase, before.step, before.since, before.weight,
    ):  # fmt: skip
        read = clock.parse(before.observed) if before.observed else None
        if read is not None and now - read < TOLD_EVERY:
            return before
        return _with(result, told, figures, now)
    # The figures at hand are those of the step before.
    return result.model_copy(update={"message": told or "it has just begun"})


def _with(result: RolloutStatus, told: str, figures: Both, now: datetime) -> RolloutStatus:
    update = {
        "message": told,
        "observed": rfc3339(now),
        "candidate": _figures(figures.candidate),
        "baseline": _figures(figures.baseline),
    }
    return result.model_copy(update=update)


def _figures(of: Figures) -> VersionFigures:
    return VersionFigures(
        requests=of.requests, errors=of.errors, p99=of.p99, replies=of.replies, clicks=of.clicks
    )


def _ended(before: RolloutStatus | None, plan: Plan, now: datetime) -> RolloutStatus | None:
    if before is None or before.phase not in set(Phase):
        return before
    taken_back = next((one for one in plan.rolled_back if one.version == before.version), None)
    phase, weight = "Replaced", 0
    message = f"{plan.live} answers: the spec asked for another version, or a person did"
    if taken_back is not None:
        phase, message = "RolledBack", taken_back.message
    elif plan.live == before.version:
        phase, weight, message = "Completed", 100, "it answers everything"
    update = {"phase": phase, "weight": weight, "message": message, "since": rfc3339(now)}
    return before.model_copy(update=update)


def news(before: Plan, after: Plan, policy: Rollout) -> list[str]:
    """Events of a rollout that went on."""
    now, then = after.rollout, before.rollout
    if now is None or now.phase is Phase.LOADING or (then is not None and then.epoch == now.epoch):
        return []
    if now.phase is Phase.SOAKING:
        return [f"Version {now.version} has all requests and is watched; {now.previous} stays loaded."]
    if now.phase is Phase.SHADOW:
        return [f"Requests are mirrored to version {now.version}, which answers nobody."]
    steps = strategy.canary(policy).steps
    weight = sum(one.weight for one in after.routes)
    return [f"Version {now.version} answers {weight} % of requests (step {now.step + 1} of {len(steps)})."]
