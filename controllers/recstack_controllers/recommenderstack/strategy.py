"""Pure next step of a rollout: Immediate, Canary or Shadow, then the soak. All state stands in the plan."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from recstack_crds.v1alpha1.rollout import Canary, RolledBack, Rollout, Shadow, Soak, StrategyType

from recstack_controllers.kit import clock, duration
from recstack_controllers.kit.clock import rfc3339
from recstack_controllers.latency import MISSED
from recstack_controllers.proof import Latency
from recstack_controllers.recommenderstack import verdict
from recstack_controllers.recommenderstack.verdict import Call, Figures, Judgement
from recstack_controllers.resources.configmaps import (
    Baseline,
    Mirror,
    Phase,
    Plan,
    PlannedVersion,
    Progress,
    Route,
)

UNWATCHED = Soak(min_requests=0)
"""Where spec.rollout.soak is left out, steps go by time only."""


TRIED_IN = {StrategyType.CANARY: Phase.CANARY, StrategyType.SHADOW: Phase.SHADOW}


@dataclass(frozen=True)
class Look:
    """What a pass knows of the version that is to take over.

    ``proven``: every pod has proven it. ``at_once``: a person named it, so no step is taken. ``frozen``: the
    stack is suspended; nothing moves on, yet what fails is rolled back. ``promoted``: its annotation.
    ``measured``: what the pods counted of a version in the plan's present epoch.
    """

    target: PlannedVersion | None
    proven: bool
    at_once: bool
    frozen: bool
    promoted: str
    measured: Callable[[str], Figures]
    now: datetime
    unfit: str = ""
    """What gate on its latency it missed, with the figures."""
    latency: Latency | None = None
    """In its slowest pod."""


@dataclass(frozen=True)
class Move:
    """Who answers from now on, how far the rollout is, and which version was taken back."""

    live: str | None
    rollout: Progress | None = None
    refused: RolledBack | None = None
    told: str = ""


def routes(rollout: Progress | None, policy: Rollout) -> tuple[Route, ...]:
    """Routes of a Canary's step, by the steps that are declared now."""
    if rollout is None or rollout.phase is not Phase.CANARY:
        return ()
    steps = canary(policy).steps
    return (Route(rollout.version, steps[min(rollout.step, len(steps) - 1)].weight),)


def mirror(rollout: Progress | None, policy: Rollout) -> Mirror | None:
    """What is mirrored."""
    if rollout is None or rollout.phase is not Phase.SHADOW:
        return None
    return Mirror(rollout.version, shadow(policy).fraction)


def canary(policy: Rollout) -> Canary:
    """Declared steps, or the default ones."""
    return policy.strategy.canary or Canary()


def shadow(policy: Rollout) -> Shadow:
    """Declared mirroring, or the default one."""
    return policy.strategy.shadow or Shadow()


def proceed(plan: Plan, look: Look, policy: Rollout) -> Move:
    """One step further."""
    target, progress = look.target, plan.rollout
    if target is None or target.name == plan.live:
        if progress is not None and progress.phase is Phase.SOAKING and progress.version == plan.live:
            return _soak(plan, progress, look, policy)
        return Move(plan.live)
    told = any((one.name, one.digest) == (target.name, target.digest) for one in plan.versions)
    look = replace(look, proven=look.proven and told)
    if look.unfit and look.proven and not look.at_once:
        refused = _refuse(target.name, look, Judgement(Call.FAIL, look.unfit, MISSED))
        if look.latency is not None:
            figures = {"latency_p50": look.latency.p50, "latency_p99": look.latency.p99}
            refused = refused.model_copy(update=figures)
        return Move(plan.live, refused=refused)
    watched = policy.strategy.type is not StrategyType.IMMEDIATE or policy.soak is not None
    if look.at_once or plan.live is None or not watched:
        return Move(target.name if look.proven and not look.frozen else plan.live)
    if progress is None or progress.version != target.name or not told:
        return Move(plan.live, Progress(target.name, plan.live, Phase.LOADING, rfc3339(look.now)))
    return _try(plan, progress, look, policy)


def _try(plan: Plan, progress: Progress, look: Look, policy: Rollout) -> Move:
    """The strategy's part: from loaded to live."""
    phase = TRIED_IN.get(policy.strategy.type)
    if progress.phase is phase:
        return _step(plan, progress, look, policy)
    if look.frozen or not look.proven:
        return Move(plan.live, _begin(progress, Phase.LOADING, look))
    if phase is None:
        return _take_over(plan, progress, look, policy)
    return Move(plan.live, _begin(progress, phase, look))


def _begin(progress: Progress, phase: Phase, look: Look) -> Progress:
    if progress.phase is phase:
        return progress
    return Progress(progress.version, progress.previous, phase, rfc3339(look.now))


def _step(plan: Plan, progress: Progress, look: Look, policy: Rollout) -> Move:
    """A Canary's step, or the mirroring."""
    assert plan.live is not None
    steps = canary(policy).steps
    in_shadow = progress.phase is Phase.SHADOW
    last = in_shadow or progress.step >= len(steps) - 1
    pause = shadow(policy).duration if in_shadow else steps[min(progress.step, len(steps) - 1)].pause
    found = _judge(progress, look, policy, plan.live)
    if found.call is Call.FAIL:
        return Move(plan.live, refused=_refuse(progress.version, look, found))
    ends = clock.parse(progress.since) + duration.parse(pause)
    if look.frozen or not look.proven or look.now < ends:
        waits = (
            "while suspended" if look.frozen else f"until {rfc3339(ends)}" if look.proven else "for its pods"
        )
        return Move(plan.live, progress, told=f"{found.message}; waits {waits}")
    if found.reason == "LiftNotShown":
        if last:
            return Move(plan.live, refused=_refuse(progress.version, look, found))
    elif found.call is Call.HOLD:
        return Move(plan.live, progress, told=found.message)
    if last:
        return _take_over(plan, progress, look, policy)
    return Move(plan.live, replace(progress, step=progress.step + 1, since=rfc3339(look.now)))


def _judge(progress: Progress, look: Look, policy: Rollout, live: str) -> Judgement:
    """The worst of what is said of a step: a failure first, then what holds it."""
    soak = policy.soak or UNWATCHED
    chance = _chance(policy)
    new, old = look.measured(progress.version), look.measured(live)
    found = []
    if progress.phase is Phase.SHADOW:
        found.append(verdict.overlap(new, shadow(policy), soak.min_requests))
    found.append(verdict.judge(new, Baseline(old.requests, old.errors, old.p99), soak, chance))
    if progress.phase is Phase.CANARY and soak.click_through is not None:
        found.append(verdict.clicks(new, old, soak.click_through, chance))
    order = (Call.FAIL, Call.HOLD, Call.GO)
    worst = min(found, key=lambda one: order.index(one.call))
    return worst if worst.call is Call.FAIL else replace(worst, message="; ".join(f.message for f in found))


def _chance(policy: Rollout) -> float:
    """Of a false alarm of one criterion in one step: all of them together make 1 - confidence."""
    soak = policy.soak or UNWATCHED
    ask = soak.click_through
    asked = [soak.max_error_rate, soak.max_error_increase, soak.max_latency_ratio]
    asked += [ask.max_drop, ask.min_lift] if ask else []
    steps = len(canary(policy).steps) if policy.strategy.type is StrategyType.CANARY else 1
    return (1 - soak.confidence) / (max(1, sum(one is not None for one in asked)) * (steps + 1))


def _take_over(plan: Plan, progress: Progress, look: Look, policy: Rollout) -> Move:
    if policy.soak is None or plan.live is None:
        return Move(progress.version)
    old = look.measured(plan.live)
    baseline = Baseline(old.requests, old.errors, old.p99)
    since = rfc3339(look.now)
    return Move(
        progress.version, Progress(progress.version, plan.live, Phase.SOAKING, since, baseline=baseline)
    )


def _soak(plan: Plan, progress: Progress, look: Look, policy: Rollout) -> Move:
    """It has all requests; the one before is still loaded."""
    if policy.soak is None or look.at_once or progress.previous not in plan.kept:
        return Move(plan.live)
    found = verdict.judge(
        look.measured(progress.version), progress.baseline or Baseline(), policy.soak, _chance(policy)
    )
    if found.call is Call.FAIL:
        return Move(progress.previous, refused=_refuse(progress.version, look, found))
    ends = clock.parse(progress.since) + duration.parse(policy.soak.duration)
    if look.now < ends:
        return Move(plan.live, progress, told=f"{found.message}; watched until {rfc3339(ends)}")
    # Few requests are no reason to watch for ever: it has them all.
    return Move(plan.live)


def _refuse(version: str, look: Look, found: Judgement) -> RolledBack:
    return RolledBack(
        version=version, time=rfc3339(look.now), reason=found.reason, message=found.message,
        promoted=look.promoted,
    )  # fmt: skip
