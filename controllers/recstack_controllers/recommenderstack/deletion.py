"""The end of a stack: packages that garbage collection cannot reach are deleted before it goes."""

from recstack_crds.v1alpha1.platform import DeletionPolicy, Feast

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.apply import apply
from recstack_controllers.kit.cluster import Cluster, Manifest
from recstack_controllers.kit.errors import Stalled, Waiting
from recstack_controllers.recommenderstack import secrets
from recstack_controllers.resources import cleanup, feast
from recstack_controllers.resources.stack import Stack

POLL = 3.0


def wanted(stack: Stack) -> bool:
    """Whether the stack may not go before its packages and its rows in Valkey have."""
    beyond = cleanup.needed(stack) or feast.outlives(stack)
    return stack.spec.deletion_policy is DeletionPolicy.DELETE and beyond


async def guard(cluster: Cluster, stack: Stack, live: Manifest) -> Manifest:
    """Put the finalizer on or take it off, as the spec asks; gives the object after it."""
    has = names.FINALIZER in (live["metadata"].get("finalizers") or [])
    if has == wanted(stack):
        return live
    return await _finalizer(cluster, live, present=not has)


async def proceed(cluster: Cluster, stack: Stack, live: Manifest) -> Manifest:
    """Stop training, delete the packages, let go; gives the object after it.

    Where the whole namespace goes, nothing can be made any more, so no Job can delete anything: what lies
    beyond the namespace stays, rather than that namespace and stack wait for each other for ever.

    Raises:
        Waiting: one of these is under way.
        Stalled: the packages cannot be deleted.
    """
    if names.FINALIZER not in (live["metadata"].get("finalizers") or []):
        return live
    if wanted(stack) and not await _namespace_goes(cluster, stack.namespace):
        await _stop_training(cluster, stack)
        await _stop_materialization(cluster, stack)
        if stack.spec.stores.feast is not None and feast.outlives(stack):
            await _delete_features(cluster, stack, stack.spec.stores.feast)
        if cleanup.needed(stack):
            await _delete_packages(cluster, stack)
    return await _finalizer(cluster, live, present=False)


async def _namespace_goes(cluster: Cluster, name: str) -> bool:
    found = await cluster.get(kinds.NAMESPACE, None, name)
    return found is not None and "deletionTimestamp" in found["metadata"]


async def _stop_training(cluster: Cluster, stack: Stack) -> None:
    # A step that still runs could publish a package after the others were deleted.
    found = await cluster.list(kinds.MODEL_VERSION, stack.namespace, {})
    mine = [one for one in found if one["spec"].get("stack") == stack.name]
    # Looks at the data are the stack's own, no version's.
    jobs = await cluster.list(kinds.JOB, stack.namespace, names.selector(stack.name, "training"))
    for kind, some in ((kinds.MODEL_VERSION, mine), (kinds.JOB, jobs)):
        for one in some:
            if not one["metadata"].get("deletionTimestamp"):
                await cluster.delete(kind, stack.namespace, one["metadata"]["name"], "Foreground")
    pods = await cluster.list(kinds.POD, stack.namespace, names.selector(stack.name, "training"))
    if mine or jobs or pods:
        raise Waiting("Deleting", "Training is being stopped; then the packages are deleted.", POLL)


async def _stop_materialization(cluster: Cluster, stack: Stack) -> None:
    # An increment that still runs could write rows, or the registry, after they were deleted.
    labels = names.selector(stack.name, feast.COMPONENT)
    found = [await cluster.get(kinds.CRON_JOB, stack.namespace, names.feast(stack.name))]
    end = names.feast_deletion(stack.name)
    jobs = [
        job
        for job in await cluster.list(kinds.JOB, stack.namespace, labels)
        if job["metadata"]["name"] != end
    ]
    for kind, some in ((kinds.CRON_JOB, found), (kinds.JOB, jobs)):
        for one in some:
            if one is not None and not one["metadata"].get("deletionTimestamp"):
                await cluster.delete(kind, stack.namespace, one["metadata"]["name"], "Foreground")
    if jobs or found != [None]:
        raise Waiting("Deleting", "Materialization is being stopped; then the features are deleted.", POLL)


async def _delete_features(cluster: Cluster, stack: Stack, declared: Feast) -> None:
    if await cluster.get(kinds.CONFIG_MAP, stack.namespace, names.feast(stack.name)) is None:
        return  # no version came so far, so there is nothing; and the Job would wait for its repository
    name = names.feast_deletion(stack.name)
    await _ended(
        cluster,
        stack,
        feast.deletion(stack, declared),
        progress=f"Job {name} deletes the features.",
        reason="FeaturesNotDeleted",
        trouble=f"Job {name} could not delete the features",
    )


async def _delete_packages(cluster: Cluster, stack: Stack) -> None:
    await secrets.require_s3(cluster, stack.namespace, stack.artifacts_s3, "spec.stores.artifacts.s3")
    name = names.cleanup(stack.name)
    await _ended(
        cluster,
        stack,
        cleanup.job(stack),
        progress=f"Job {name} deletes the packages in {stack.artifacts_uri}.",
        reason="PackagesNotDeleted",
        trouble=f"Job {name} could not delete the packages in {stack.artifacts_uri}",
    )


async def _ended(
    cluster: Cluster, stack: Stack, wanted: Manifest, *, progress: str, reason: str, trouble: str
) -> None:
    """Run a Job to its end."""
    name = wanted["metadata"]["name"]
    job = await apply(cluster, kinds.JOB, wanted)
    conditions = {
        c["type"] for c in (job.get("status") or {}).get("conditions") or [] if c["status"] == "True"
    }
    if "Failed" in conditions:
        raise Stalled(
            reason,
            f"{trouble}: see `kubectl logs job/{name}`, then delete the Job to try again, "
            "or set spec.deletionPolicy to Retain to leave them.",
        )
    if "Complete" not in conditions:
        raise Waiting("Deleting", progress, POLL)


async def _finalizer(cluster: Cluster, live: Manifest, *, present: bool) -> Manifest:
    metadata = live["metadata"]
    return await cluster.apply(
        {
            "apiVersion": live["apiVersion"],
            "kind": live["kind"],
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                # Of this very object: a finalizer must not make one that was deleted meanwhile anew.
                "uid": metadata["uid"],
                "finalizers": [names.FINALIZER] if present else [],
            },
        }
    )
