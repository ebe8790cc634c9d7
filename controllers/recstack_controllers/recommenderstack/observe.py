"""What one reconcile of a stack reads before it decides."""

import asyncio
from dataclasses import dataclass

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Cluster, Manifest
from recstack_controllers.kit.errors import Stalled
from recstack_controllers.recommenderstack import versions
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources import valkey
from recstack_controllers.resources.configmaps import Plan, read_plan
from recstack_controllers.resources.stack import Stack


@dataclass(frozen=True)
class Observed:
    """The stack's children; None: not there. Pods only when their Deployment lacks some.

    ``worker``: the Deployment that works off events.
    """

    plan_object: Manifest | None
    plan: Plan
    generation: int
    deployment: Manifest | None
    stateful_set: Manifest | None
    autoscaler: Manifest | None
    pods: list[Manifest]
    worker: Manifest | None
    worker_pods: list[Manifest]
    known: list[Known]
    version_names: list[str]
    """Of every ModelVersion in the namespace, also of those that are being deleted."""


async def observe(cluster: Cluster, stack: Stack) -> Observed:
    """Read the children that decide something.

    Raises:
        Stalled: somebody changed the plan into what is no plan.
    """
    space, name = stack.namespace, stack.name
    plan_object, deployment, server, autoscaler, worker, found = await asyncio.gather(
        cluster.get(kinds.CONFIG_MAP, space, names.plan(name)),
        cluster.get(kinds.DEPLOYMENT, space, names.gateway(name)),
        cluster.get(kinds.STATEFUL_SET, space, names.valkey(name)),
        cluster.get(kinds.AUTOSCALER, space, names.gateway(name)),
        cluster.get(kinds.DEPLOYMENT, space, names.events(name)),
        cluster.list(kinds.MODEL_VERSION, space, {}),
    )
    try:
        plan, generation = read_plan(plan_object)
    except ValueError as error:
        raise Stalled(
            "PlanUnreadable", f"{error}: delete it, and it is made anew; pods serve on until then."
        ) from None

    async def pods(of: Manifest | None, component: str) -> list[Manifest]:
        if of is None or all_ready(of):
            return []
        return await cluster.list(kinds.POD, space, names.selector(name, component))

    if valkey.managed(stack) is None:
        server = None
    if stack.spec.autoscaling is None:
        autoscaler = None
    return Observed(
        plan_object=plan_object,
        plan=plan,
        generation=generation,
        deployment=deployment,
        stateful_set=server,
        autoscaler=autoscaler,
        pods=await pods(deployment, "serving"),
        worker=worker,
        worker_pods=await pods(worker, "events"),
        known=versions.read(found, name, plan.rolled_back),
        version_names=[one["metadata"]["name"] for one in found],
    )


def all_ready(deployment: Manifest) -> bool:
    """Whether the Deployment's newest pods are all there and no other is."""
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    counts = (status.get("replicas", 0), status.get("updatedReplicas", 0), status.get("availableReplicas", 0))
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return current and counts == (wanted, wanted, wanted)
