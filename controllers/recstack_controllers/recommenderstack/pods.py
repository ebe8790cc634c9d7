"""Steps: identities, the serving pods and what goes with them, the pod that works off events."""

from recstack_controllers import kinds
from recstack_controllers.kit import names, ownership
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.recommenderstack import status, surge, telling
from recstack_controllers.recommenderstack.observe import Observed
from recstack_controllers.recommenderstack.run import Run
from recstack_controllers.resources import (
    access,
    autoscaler,
    configmaps,
    disruption,
    events,
    network,
    serving,
)
from recstack_controllers.resources.stack import Stack

REPLICAS_MANAGER = "recstack-replicas"
"""Holds the number of pods between our applying it and the autoscaler's first say."""


async def identities(run: Run, stack: Stack) -> None:
    """Who the serving pods are, and who may connect to what."""
    await run.apply(kinds.SERVICE_ACCOUNT, access.service_account(stack))
    await run.apply(kinds.ROLE, access.role(stack))
    await run.apply(kinds.ROLE_BINDING, access.role_binding(stack))
    await run.apply(kinds.NETWORK_POLICY, network.serving(stack))
    await run.apply(kinds.NETWORK_POLICY, network.training(stack))


async def serve(run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan, credentials: str) -> None:
    """Deployment and what goes with it; never the number of pods while an autoscaler owns it."""
    wanted = stack.spec.autoscaling
    if wanted is not None:
        await _leave_replicas(run, seen.deployment)
        scaler = await run.apply(kinds.AUTOSCALER, autoscaler.autoscaler(stack, wanted))
        run.conditions.set("AutoscalingReady", *status.autoscaling(scaler))
    else:
        await run.remove(stack, kinds.AUTOSCALER, names.gateway(run.name))
        run.conditions.remove("AutoscalingReady")
    begun = plan.surge or surge.started(seen.deployment)
    made = await run.apply(
        kinds.DEPLOYMENT,
        serving.deployment(
            stack, credentials, online=run.online, surge=begun, nvtabular=_nvtabular(seen, plan)
        ),
    )
    await run.apply(kinds.SERVICE, serving.service(stack))
    await run.apply(kinds.DISRUPTION_BUDGET, disruption.budget(stack))
    telling.pods(run, seen, made)
    run.fields["endpoint"] = serving.endpoint(stack)


def _nvtabular(seen: Observed, plan: configmaps.Plan) -> bool:
    """Whether a version that pods hold, or are to hold, has operators that are not compiled."""
    planned = {one.name for one in plan.versions}
    return any(one.name in planned and one.is_false("Compiled") for one in seen.known)


async def work_off_events(run: Run, stack: Stack, seen: Observed, credentials: str) -> None:
    """What works off events, when somebody shall."""
    name = names.events(run.name)
    if not stack.spec.events.enabled:
        # Its identity stays and goes with the stack: the operator may delete no roles.
        for kind in (kinds.DEPLOYMENT, kinds.NETWORK_POLICY):
            await run.remove(stack, kind, name)
        run.conditions.remove("EventsReady")
        return
    await run.apply(kinds.SERVICE_ACCOUNT, access.service_account(stack, events.COMPONENT))
    await run.apply(kinds.ROLE, access.role(stack, events.COMPONENT))
    await run.apply(kinds.ROLE_BINDING, access.role_binding(stack, events.COMPONENT))
    await run.apply(kinds.NETWORK_POLICY, network.events(stack))
    made = await run.apply(kinds.DEPLOYMENT, events.deployment(stack, credentials))
    run.conditions.set("EventsReady", *status.events(made, seen.worker_pods))


async def _leave_replicas(run: Run, deployment: Manifest | None) -> None:
    """Give the number of pods away before it is applied no more.

    A field that its only owner stops applying falls back to its default, which would be one pod.
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
    """
    if deployment is None or not ownership.holds(deployment, "spec", "replicas"):
        return
    metadata = {key: deployment["metadata"][key] for key in ("name", "namespace")}
    replicas = {"replicas": deployment["spec"]["replicas"]}
    await run.cluster.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": replicas},
        REPLICAS_MANAGER,
    )
