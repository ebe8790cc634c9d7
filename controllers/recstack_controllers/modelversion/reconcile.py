"""Bring one ModelVersion forward: the next step's Job, then its stand in serving."""

from recstack_crds.v1alpha1.models import LATENCY

from recstack_controllers import kinds
from recstack_controllers.kit.clock import Clock
from recstack_controllers.kit.cluster import Cluster, ClusterError
from recstack_controllers.kit.conditions import State
from recstack_controllers.kit.errors import Stalled, Waiting
from recstack_controllers.modelversion import gating, jobs, parents, serving, superseding
from recstack_controllers.modelversion.run import POLL, Run
from recstack_controllers.modelversion.status import set_steps
from recstack_controllers.resources import modelversion
from recstack_controllers.resources.stack import Stack, read_stack
from recstack_controllers.resources.steps import Step
from recstack_controllers.settings import Outcome, Settings

REFUSED_RETRY = 30.0


async def reconcile(cluster: Cluster, clock: Clock, settings: Settings, namespace: str, name: str) -> Outcome:
    """One pass; safe to repeat and to cut off anywhere.

    Raises:
        ClusterError: the API server failed; try again. 409: the object changed meanwhile, also try again.
    """
    live = await cluster.get(kinds.MODEL_VERSION, namespace, name)
    if live is None or live["metadata"].get("deletionTimestamp"):
        return Outcome(None)
    run = Run(cluster, clock, settings, live)
    try:
        return await _forward(run)
    except Waiting as waiting:
        run.set("Ready", State.FALSE, "Waiting", waiting.message)
        run.set("Reconciling", State.TRUE, waiting.reason, waiting.message)
        run.set("Stalled", State.FALSE, "NotStalled", "")
        await run.record()
        return Outcome(waiting.retry_after)
    except Stalled as stalled:
        run.set("Ready", State.FALSE, stalled.reason, stalled.action)
        run.set("Reconciling", State.FALSE, "Stalled", "")
        run.set("Stalled", State.TRUE, stalled.reason, stalled.action)
        if not run.was_stalled:
            run.tell("Warning", stalled.reason, stalled.action)
        await run.record()
        return Outcome(None)
    except ClusterError as error:
        if error.transient:
            raise
        text = f"The API server refused: {error}."
        run.set("Ready", State.FALSE, "ApiRefused", text)
        run.set("Reconciling", State.TRUE, "ApiRefused", text)
        run.set("Stalled", State.FALSE, "NotStalled", "")
        await run.record()
        return Outcome(REFUSED_RETRY)


async def _forward(run: Run) -> Outcome:
    """Steps in order, gates between evaluate and package, then serving."""
    run.list_steps()
    stack = await _stack(run)
    if await superseding.superseded(run, stack):
        return await superseding.put_aside(run, stack)
    await parents.find(run, stack)
    for step in run.order:
        if run.steps[step].state != "Succeeded":
            outcome = await jobs.proceed(run, stack, step)
            # A step that is done: from the start, as the stack may have changed meanwhile.
            return outcome if outcome is not None else await _forward(run)
        if step is Step.EVALUATE:
            gating.decide(run)
    return await _serve(run, stack)


async def _stack(run: Run) -> Stack:
    name = run.version.spec.stack
    found = await run.cluster.get(kinds.RECOMMENDER_STACK, run.namespace, name)
    if found is None:
        raise Waiting(
            "StackMissing", f"There is no RecommenderStack {name} in {run.namespace}: create it.", 30
        )
    return read_stack(found, run.settings)


async def _serve(run: Run, stack: Stack) -> Outcome:
    metadata = run.live["metadata"]
    set_steps(run.conditions, list(run.steps.values()))
    gating.decide(run)
    promoted = modelversion.promoted(metadata)
    was_live = run.conditions.is_true("Live")
    stand = await serving.observe(
        run.cluster,
        run.namespace,
        run.version,
        run.package or "",
        metadata["creationTimestamp"],
        promoted=promoted,
        pin=stack.spec.rollout.pin,
        rolled_back=run.rolled_back,
    )
    run.rolled_back = stand.rolled_back
    if stand.latency:
        offline = [one for one in run.verdicts if one.metric not in LATENCY]
        run.verdicts = [*offline, *stand.latency]
    run.set("Loaded", *stand.loaded)
    run.set("Live", *stand.live)
    if stand.rolled_back is not None:
        raise Stalled(*stand.live[1:])
    if stand.settled:
        run.set("Ready", State.TRUE, stand.live[1], stand.live[2])
        run.set("Reconciling", State.FALSE, "Settled", "")
        run.set("Stalled", State.FALSE, "NotStalled", "")
    else:
        run.reconciling("Loading", stand.loaded[2])
    if run.conditions.is_true("Live") and not was_live:
        run.tell("Normal", "Live", f"{run.version.name} answers all requests from now on.")
    await run.record()
    return Outcome(None if stand.settled else POLL)
