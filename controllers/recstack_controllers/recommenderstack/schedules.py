"""Pure: which scheduled runs are due, which were missed, and when to look again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recstack_crds.v1alpha1.models import ConcurrencyPolicy, Kind, Schedule
from recstack_crds.v1alpha1.recommenderstack import ScheduleStatus

from recstack_controllers.kit import cron
from recstack_controllers.kit.clock import parse, rfc3339
from recstack_controllers.kit.conditions import State
from recstack_controllers.kit.cron import Cron
from recstack_controllers.recommenderstack import versions
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources import modelversion
from recstack_controllers.resources.modelversion import Origin
from recstack_controllers.resources.stack import Stack

INVALID = "InvalidSchedule"
Fact = tuple[State, str, str]


@dataclass(frozen=True)
class Run:
    """A version that is to be made."""

    origin: Origin
    parent: str | None = None


@dataclass
class Decision:
    """``missed``: a sentence each; ``wake``: when the next run is due."""

    status: list[ScheduleStatus] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    wake: datetime | None = None
    busy: str | None = None
    """A version of the recipe that is trained, or that a run has just asked for."""
    fact: Fact | None = None
    """The condition Scheduled; None without schedules."""


@dataclass(frozen=True)
class _Past:
    """What is known of a schedule's runs so far."""

    next: datetime | None
    last: datetime | None
    version: str | None


def decide(
    stack: Stack, before: Sequence[ScheduleStatus], known: Sequence[Known], live: str | None, now: datetime
) -> Decision:
    """What to do at ``now``; ``before``: the last status, ``live``: the version that answers."""
    decision, invalid, failed, waiting = Decision(), [], [], []
    recorded = {one.name: one for one in before}
    there = {one.name for one in known}
    mine = versions.of_recipe(known, stack)
    # The recipe's first version is made by the same pass; a run at its side would train the same twice.
    may_begin = bool(mine) and not stack.spec.suspend
    busy = next((one.name for one in mine if one.in_training), None)
    parent = next((one.name for one in mine if one.name == live), None)
    for schedule in stack.spec.training.schedules:
        found = recorded.get(schedule.name)
        try:
            line = cron.parse(schedule.cron, schedule.time_zone)
        except ValueError as error:
            invalid.append(f"Schedule {schedule.name}: {error}.")
            decision.status += [found] if found else []
            continue
        past = _past(line, found, [one for one in known if one.origin.schedule == schedule.name], now)
        if may_begin and past.next is not None and past.next <= now:
            due = line.latest(past.next, now)
            if _too_late(schedule, due, now):
                decision.missed.append(_missed(schedule, due))
                past = _Past(line.after(now), past.last, past.version)
            elif what := _waits_for(schedule, busy, parent, decision.runs, rfc3339(due)):
                waiting.append(f"{schedule.name} waits for {what}")
            else:
                origin = Origin(rfc3339(due), None, schedule.kind, schedule.name)
                busy = modelversion.name(stack, origin)
                if busy not in there:
                    there.add(busy)
                    fine = schedule.kind is Kind.FINE_TUNE
                    decision.runs.append(Run(origin, parent if fine else None))
                past = _Past(line.after(due), due, busy)
        if past.next is not None and past.next > now:
            decision.wake = min(past.next, decision.wake or past.next)
        decision.status.append(_entry(schedule, line, past))
        failed += [
            f"Schedule {schedule.name}: version {one.name}: {one.conditions['Stalled'].message}"
            for one in known
            if one.name == past.version and one.is_true("Stalled")
        ]
    decision.busy = busy
    decision.fact = _fact(stack, decision, invalid, failed, waiting)
    return decision


def _past(line: Cron, found: ScheduleStatus | None, made: Sequence[Known], now: datetime) -> _Past:
    """From the status, and from the versions that were made before the operator could write it."""
    last = parse(found.last_scheduled_time) if found and found.last_scheduled_time else None
    version = found.last_version if found else None
    for one in made:
        time = parse(one.scheduled) if one.scheduled else None
        if time is not None and (last is None or time > last):
            last, version = time, one.name
    if found is None or found.cron != str(line):
        # Times before a schedule was there, or was another, are not made up for.
        return _Past(line.after(max(now, last or now)), last, version)
    due = parse(found.next_scheduled_time) if found.next_scheduled_time else None
    if due is not None and last is not None and last >= due:
        due = line.after(last)
    return _Past(due, last, version)


def _too_late(schedule: Schedule, due: datetime, now: datetime) -> bool:
    deadline = schedule.starting_deadline_seconds
    return deadline is not None and now - due > timedelta(seconds=deadline)


def _missed(schedule: Schedule, due: datetime) -> str:
    return (
        f"Schedule {schedule.name}: the run of {rfc3339(due)} could not begin within "
        f"{schedule.starting_deadline_seconds} s (startingDeadlineSeconds) and is left out."
    )


def _waits_for(
    schedule: Schedule, busy: str | None, parent: str | None, runs: Sequence[Run], time: str
) -> str | None:
    if schedule.kind is Kind.FINE_TUNE and parent is None:
        return "a version of this recipe to be live"
    mine = (time, schedule.kind)
    if any((one.origin.scheduled, one.origin.kind) == mine for one in runs):
        return None  # one version for all that are due at once
    return busy if schedule.concurrency_policy is ConcurrencyPolicy.FORBID else None


def _entry(schedule: Schedule, line: Cron, past: _Past) -> ScheduleStatus:
    return ScheduleStatus(
        name=schedule.name,
        cron=str(line),
        last_scheduled_time=rfc3339(past.last) if past.last else None,
        last_version=past.version,
        next_scheduled_time=rfc3339(past.next) if past.next else None,
    )


def _fact(
    stack: Stack, decision: Decision, invalid: Sequence[str], failed: Sequence[str], waiting: Sequence[str]
) -> Fact | None:
    if not stack.spec.training.schedules:
        return None
    if invalid:
        return State.FALSE, INVALID, " ".join(invalid)
    if stack.spec.suspend:
        return State.FALSE, "Suspended", "No run begins while spec.suspend is true."
    if failed:
        return State.FALSE, "LastRunFailed", " ".join(failed)
    coming = [
        f"{one.name} at {one.next_scheduled_time}"
        for one in decision.status
        if one.next_scheduled_time and not any(text.startswith(f"{one.name} waits") for text in waiting)
    ]
    return State.TRUE, "Scheduled", f"Next: {', '.join([*waiting, *coming]) or 'none'}."
