"""Pure next serving plan: a candidate is added, proven, made live; the one before is kept, later drained."""

from collections.abc import Collection

from recstack_controllers.proof import Verdict
from recstack_controllers.resources.configmaps import Plan, PlannedVersion


def advance(
    plan: Plan, target: PlannedVersion | None, verdict: Verdict, held: Collection[str], keep: int
) -> Plan:
    """One step of the plan.

    ``verdict`` is the pods' on ``target``; ``held``: versions that some pod still has loaded; ``keep``: how
    many that were live stay loaded. Live moves only to a version that the pods were told of by an earlier
    plan and that all of them have proven. A target that pods cannot load stays a candidate: pods try again
    by themselves, and another recipe takes it off.
    """
    before = {one.name: one for one in plan.versions}
    live = plan.live
    if target is not None and target.name != live and verdict is Verdict.PROVEN:
        told = before.get(target.name)
        if told is not None and told.digest == target.digest:
            live = target.name
    candidate = target if target is not None and target.name != live else None
    past = [plan.live] if plan.live is not None and plan.live != live else []
    past += [name for name in plan.kept if name != live]
    # A candidate takes a kept one's place: pods never hold more than they have to at a swap anyway.
    room = keep if candidate is None else keep - 1
    kept = [name for name in past if candidate is None or name != candidate.name][: max(0, room)]
    versions = [before[live]] if live is not None else []
    if candidate is not None:
        versions.append(candidate)
    versions += [before[name] for name in kept]
    names = {one.name for one in versions}
    leaving = [name for name in before if name not in names]
    leaving += [name for name in plan.drain if name not in names and name not in leaving and name in held]
    return Plan(live, tuple(versions), tuple(leaving), tuple(kept))
