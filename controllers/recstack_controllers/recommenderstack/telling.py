"""What a pass tells of children, pods and versions: conditions and fields of the status."""

from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.proof import Proof
from recstack_controllers.recommenderstack import status, versions
from recstack_controllers.recommenderstack.observe import Observed
from recstack_controllers.recommenderstack.run import Run
from recstack_controllers.resources import configmaps, valkey
from recstack_controllers.resources.stack import Stack


def children(run: Run, stack: Stack, seen: Observed) -> None:
    """Conditions from what was observed, for a pass that a later step may end early."""
    run.fields["live_version"] = seen.plan.live
    pods(run, seen, seen.deployment)
    managed = valkey.managed(stack) is not None
    if managed or run.conditions.get("StoresReady") is None:
        run.conditions.set("StoresReady", *status.stores(seen.stateful_set, managed=managed))
    if stack.spec.events.enabled:
        run.conditions.set("EventsReady", *status.events(seen.worker, seen.worker_pods))
    model(run, stack, seen, seen.plan, None)


def pods(run: Run, seen: Observed, deployment: Manifest | None) -> None:
    """The serving pods, and how many there are."""
    plan = configmaps.Plan(run.fields["live_version"], (), ())
    run.conditions.set("ServingReady", *status.serving(plan, deployment, seen.pods))
    run.fields["replicas"] = deployment["spec"].get("replicas", 1) if deployment else 0
    state = ((deployment or {}).get("status")) or {}
    run.fields["ready_replicas"] = state.get("readyReplicas", 0)


def model(run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan, found: Proof | None) -> None:
    """Which version answers, which is on its way, and what the pods say of it."""
    pin, goal = stack.spec.rollout.pin, versions.on_its_way(seen.known, stack)
    fact, stalled = status.model(
        plan,
        versions.wanted(stack),
        goal,
        found,
        run.fields["rollout"],
        pinned=pin is not None,
        suspended=stack.spec.suspend,
    )
    run.stalled = "ModelReady" if stalled else run.stalled
    run.conditions.set("ModelReady", *fact)
    run.set_or_remove("Pinned", status.pinned(plan, pin, fact) if pin else None)
    name = goal.name if goal else None
    run.fields["live_version"] = plan.live
    run.fields["history"] = status.history(run.fields["history"], plan.live, run.now)
    run.fields["candidate_version"] = name if name != plan.live else None
    pods(run, seen, seen.deployment)
