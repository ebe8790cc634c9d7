"""Pure next serving plan: a candidate is added, proven, made live; the one before is kept, later drained."""

from collections.abc import Collection

from recstack_crds.v1alpha1.recommenderstack import MAX_HISTORY
from recstack_crds.v1alpha1.rollout import Rollout

from recstack_controllers.recommenderstack import strategy
from recstack_controllers.recommenderstack.strategy import Look
from recstack_controllers.resources.configmaps import Phase, Plan


def advance(plan: Plan, look: Look, held: Collection[str], policy: Rollout) -> tuple[Plan, str]:
    """One step of the plan, and what a rollout waits for.

    ``held``: versions that some pod still has loaded. Live moves only to a version that the pods were told of
    by an earlier plan and that all of them have proven, or back to the one before it, which they still hold.
    A target that pods cannot load stays a candidate: pods try again by themselves, and another recipe takes
    it off.
    """
    move = strategy.proceed(plan, look, policy)
    before = {one.name: one for one in plan.versions}
    live, target = move.live, look.target
    refused = move.refused.version if move.refused else None
    candidate = target if target is not None and target.name not in (live, refused) else None
    past = [plan.live] if plan.live is not None and plan.live != live else []
    past = [name for name in (*past, *plan.kept) if name not in (live, refused)]
    soaking = move.rollout is not None and move.rollout.phase is Phase.SOAKING
    keep = max(policy.keep_loaded, 1) if soaking else policy.keep_loaded
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
    # One that is planned again was given another try.
    taken_back = [one for one in plan.rolled_back if one.version not in names and one.version != refused]
    if move.refused is not None:
        taken_back.insert(0, move.refused)
    after = Plan(
        live,
        tuple(versions),
        tuple(leaving),
        tuple(kept),
        strategy.routes(move.rollout, policy),
        strategy.mirror(move.rollout, policy),
        move.rollout,
        tuple(taken_back[:MAX_HISTORY]),
    )
    return after, move.told
