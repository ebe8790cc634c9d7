"""Bring one RecommenderStack to its spec: stores, access, plan, pods, version, and one status write."""

from recstack_controllers import kinds
from recstack_controllers.kit.clock import Clock
from recstack_controllers.kit.cluster import Cluster, ClusterError
from recstack_controllers.kit.errors import Stalled, Waiting
from recstack_controllers.recommenderstack import (
    deletion,
    features,
    planning,
    pods,
    stores,
    telling,
    tidying,
    training,
)
from recstack_controllers.recommenderstack.observe import observe
from recstack_controllers.recommenderstack.run import POLL, Run
from recstack_controllers.resources.stack import read_stack
from recstack_controllers.settings import Outcome, Settings

REFUSED_RETRY = 30.0
RESYNC = 120.0
"""Seconds between looks at a stack that rests: Secrets are not watched, and theirs may have changed."""


async def reconcile(cluster: Cluster, clock: Clock, settings: Settings, namespace: str, name: str) -> Outcome:
    """One pass; safe to repeat and to cut off anywhere.

    Raises:
        ClusterError: the API server failed; try again. 409: the object changed meanwhile, also try again.
    """
    live = await cluster.get(kinds.RECOMMENDER_STACK, namespace, name)
    if live is None:
        return Outcome(None)
    run = Run(cluster, clock, settings, live)
    try:
        outcome = await _forward(run)
        run.conclude()
    except Waiting as waiting:
        run.fail(waiting.reason, waiting.message, stalled=False)
        outcome = Outcome(waiting.retry_after)
    except Stalled as stalled:
        run.fail(stalled.reason, stalled.action, stalled=True)
        outcome = Outcome(None)
    except ClusterError as error:
        if error.transient:
            raise
        run.fail("ApiRefused", f"The API server refused: {error}.", stalled=False)
        outcome = Outcome(REFUSED_RETRY)
    await run.record()
    return outcome


async def _forward(run: Run) -> Outcome:
    """The steps, in order. Each raises Waiting or Stalled when the next cannot follow."""
    stack = read_stack(run.live, run.settings)
    if run.live["metadata"].get("deletionTimestamp"):
        run.live = await deletion.proceed(run.cluster, stack, run.live)
        return Outcome(None)
    run.live = await deletion.guard(run.cluster, stack, run.live)
    seen = await observe(run.cluster, stack)
    telling.children(run, stack, seen)
    run.stage = "StoresReady"
    credentials = await stores.proceed(run, stack, seen)
    run.stage = ""
    await pods.identities(run, stack)
    await features.step(run, stack, seen)
    plan, found = await planning.proceed(run, stack, seen)
    await pods.serve(run, stack, seen, plan, credentials)
    await pods.work_off_events(run, stack, seen, credentials)
    telling.model(run, stack, seen, plan, found)
    run.stage = "ModelReady"
    await training.version_of_recipe(run, stack, seen)
    run.stage = ""
    busy = await training.scheduled_versions(run, stack, seen, plan)
    training.freshness(run, stack, seen, plan)
    await training.look_at_data(run, stack, seen, plan)
    await training.triggered_versions(run, stack, seen, plan, busy)
    await tidying.proceed(run, stack, seen, plan)
    due = [(moment - run.now).total_seconds() for moment in run.wake]
    return Outcome(min(POLL if plan.moving else RESYNC, *due, RESYNC))
