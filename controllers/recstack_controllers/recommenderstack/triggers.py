"""Pure: when to look at the data, and which versions follow from what was found.

A look is decided once: its Job is named by the time that it was due, and a Job that was created and is gone,
by a TTL or a person, is not created again. So is a version: its name is made of what was seen, and the same
newest day never asks for the same kind of version twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recstack_crds.v1alpha1.models import ConcurrencyPolicy, Kind, Triggers
from recstack_crds.v1alpha1.modelversion import Days
from recstack_crds.v1alpha1.recommenderstack import CheckStatus

from recstack_controllers.kit import duration, names
from recstack_controllers.kit.clock import parse, rfc3339
from recstack_controllers.kit.conditions import State
from recstack_controllers.modelversion.results import JobReport, JobState
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources import modelversion
from recstack_controllers.resources.modelversion import Origin
from recstack_controllers.resources.stack import Stack

NEW_DATA, DRIFT, STALE = "newData", "drift", "onStale"
Fact = tuple[State, str, str]


@dataclass(frozen=True)
class Look:
    """What becomes of looking: the status, and the time of the Job that is to be created now."""

    status: CheckStatus | None
    begin: str | None = None
    wake: datetime | None = None


def look(
    stack: Stack, before: CheckStatus | None, job: JobReport | None, live: Known | None, now: datetime
) -> Look:
    """Whether to look at the data at ``now``.

    ``before``: the last status; ``job``: its Job as it is, None when it is not there; ``live``: the version
    of the present recipe that answers, None: there is none.
    """
    every = _every(stack.spec.training.triggers)
    if every is None:
        return Look(None)
    status = before or CheckStatus(next_time=rfc3339(now))
    if status.job is not None and status.time is not None:
        if job is not None and job.state is JobState.RUNNING:
            return Look(status)
        next_time = rfc3339(parse(status.time) + every)
        status = _ended(status, job).model_copy(update={"job": None, "next_time": next_time})
    due = parse(status.next_time) if status.next_time else now
    due = min(due, now + every)  # the clock may have been put back, or the interval made shorter
    if stack.spec.suspend or live is None or live.window is None or before is None:
        return Look(status.model_copy(update={"next_time": rfc3339(due)}))
    if due > now:
        return Look(status.model_copy(update={"next_time": rfc3339(due)}), wake=due)
    # The latest time that is due: those that were missed are not made up for.
    due += (now - due) // every * every
    time = rfc3339(due)
    return Look(
        status.model_copy(
            update={
                "job": names.check(stack.name, time),
                "time": time,
                "next_time": rfc3339(due + every),
                "against": live.name,
            }
        ),
        begin=time,
    )


def _every(triggers: Triggers) -> timedelta | None:
    asked = [one.every for one in (triggers.new_data, triggers.drift) if one is not None]
    return min((duration.parse(one) for one in asked), default=None)


def _ended(status: CheckStatus, job: JobReport | None) -> CheckStatus:
    if job is None:
        return status.model_copy(update={"message": f"Job {status.job} was deleted before it was read."})
    if job.failure is not None:
        return status.model_copy(update={"message": job.failure.message})
    if job.result is None or job.result.check is None:
        return status.model_copy(update={"message": f"Job {status.job} went before its result was read."})
    found = job.result.check.model_copy(update={"against": status.against or ""})
    return status.model_copy(update={"message": "", "found": found})


@dataclass(frozen=True)
class Run:
    """A version that is to be made; not ``due``: it would be, had the look found more."""

    origin: Origin
    parent: str | None
    days: Days | None
    why: str
    due: bool = True


@dataclass
class Decision:
    """``fact``: the condition Watched; None without triggers."""

    runs: list[Run] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    fact: Fact | None = None


def decide(
    stack: Stack,
    check: CheckStatus | None,
    known: Sequence[Known],
    live: Known | None,
    *,
    stale: bool,
    busy: str | None,
) -> Decision:
    """Versions that follow from what is known now.

    ``live``: the version of the present recipe that answers; ``stale``: it is older than ``maxStaleness``;
    ``busy``: a version of the recipe that is trained, or was asked for in this very pass.
    """
    triggers, decision = stack.spec.training.triggers, Decision()
    if triggers == Triggers():
        return decision
    there = {one.name for one in known}
    if live is not None and not stack.spec.suspend:
        for group in (_of_data(stack, check, live), _of_age(stack, check, live, stale=stale)):
            if any(modelversion.name(stack, run.origin) in there for run in group):
                continue  # one version for one sight
            run = next((one for one in group if one.due), None)
            if run is None:
                continue
            if busy is not None and triggers.concurrency_policy is ConcurrencyPolicy.FORBID:
                decision.waiting.append(f"{run.origin.schedule} waits for {busy}")
            else:
                decision.runs.append(run)
            break
    decision.fact = _fact(stack, check, decision, live)
    return decision


def _of_data(stack: Stack, check: CheckStatus | None, live: Known) -> list[Run]:
    """What the newest day may ask for, the most telling first: one of them is enough.

    A day that is written over may drift no more: the version that was made for that stands for the day.
    """
    triggers = stack.spec.training.triggers
    found = check.found if check is not None else None
    if found is None or live.window is None or found.newest <= live.window.last:
        return []
    runs = []
    feature, psi = max(found.psi.items(), key=lambda one: one[1], default=("", 0.0))
    if triggers.drift is not None:
        why = f"{feature} has drifted, PSI {psi:.3g} on day {found.newest}"
        due = psi >= triggers.drift.threshold and found.against == live.name
        runs.append(_run(f"{DRIFT}/{found.newest}", triggers.drift.kind, live, check, why, due=due))
    if triggers.new_data is not None:
        why = f"day {found.newest} is newer than {live.window.last}"
        runs.append(_run(f"{NEW_DATA}/{found.newest}", triggers.new_data.kind, live, check, why))
    return runs


def _of_age(stack: Stack, check: CheckStatus | None, live: Known, *, stale: bool) -> list[Run]:
    kind = stack.spec.training.triggers.on_stale
    if kind is None or not stale:
        return []
    why = f"{live.name} is older than {stack.spec.training.max_staleness}"
    return [_run(f"{STALE}/{live.name}", kind, live, check, why)]


def _days(check: CheckStatus | None, kind: Kind) -> Days | None:
    """The days of a version: named, so that two looks at other moments are the same request."""
    found = check.found if check is not None else None
    if found is None:
        return None
    return found.fresh if kind is Kind.FINE_TUNE else found.window


def _run(
    cause: str, kind: Kind, live: Known, check: CheckStatus | None, why: str, *, due: bool = True
) -> Run:
    trigger = cause.partition("/")[0]
    parent = live.name if kind is Kind.FINE_TUNE else None
    return Run(Origin(None, cause, kind, trigger), parent, _days(check, kind), why, due)


def _fact(stack: Stack, check: CheckStatus | None, decision: Decision, live: Known | None) -> Fact:
    if stack.spec.suspend:
        return State.FALSE, "Suspended", "Nothing is looked at while spec.suspend is true."
    if live is None:
        return State.UNKNOWN, "NoVersion", "No version of this recipe is live yet to compare with."
    if check is not None and check.message:
        return State.FALSE, "CheckFailed", f"{check.message} The next look is due at {check.next_time}."
    if check is not None and check.found is None:
        text = f"Version {live.name} does not tell its days; the next one will."
        if live.window is not None:
            text = "The data was not looked at yet."
        return State.UNKNOWN, "CheckPending", text
    said = []
    if check is not None and check.found is not None:
        found = check.found
        said.append(f"the newest day is {found.newest}, {found.new_days} are new to {found.against}")
        if found.psi:
            feature, psi = max(found.psi.items(), key=lambda one: one[1])
            said.append(f"{feature} differs most, PSI {psi:.3g}")
    text = "; ".join([*said, *decision.waiting]) or "nothing but the live version's age is watched"
    return State.TRUE, "Watched", f"{text[0].upper()}{text[1:]}."
