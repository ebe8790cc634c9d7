"""The feature store of a stack: its repository applied once a version, then increments by the clock."""

from collections.abc import Sequence
from dataclasses import dataclass

from recstack_crds.v1alpha1.platform import Feast
from recstack_crds.v1alpha1.recommenderstack import FeastStatus

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.apply import apply
from recstack_controllers.kit.cluster import Cluster, Manifest
from recstack_controllers.kit.conditions import State
from recstack_controllers.modelversion import results
from recstack_controllers.modelversion.results import JobState
from recstack_controllers.recommenderstack import versions
from recstack_controllers.recommenderstack.observe import Observed
from recstack_controllers.recommenderstack.run import Run
from recstack_controllers.recommenderstack.versions import Known
from recstack_controllers.resources import feast as builders
from recstack_controllers.resources import network
from recstack_controllers.resources.stack import Stack, Version, read_version

Fact = tuple[State, str, str]
MEMORY = "spec.stores.feast.memory"


@dataclass(frozen=True)
class Standing:
    """FeaturesReady, what the status keeps, and whether only a person can help."""

    fact: Fact
    status: FeastStatus
    stalled: bool = False


async def step(run: Run, stack: Stack, seen: Observed) -> None:
    """The feature store, when one is declared; what it holds stays when it no longer is."""
    feast = stack.spec.stores.feast
    if feast is None:
        for kind in (kinds.CRON_JOB, kinds.NETWORK_POLICY):
            await run.remove(stack, kind, names.feast(run.name))
        run.conditions.remove("FeaturesReady")
        run.fields["feast"] = None
        return
    before = run.before.feast or FeastStatus()
    found = await proceed(run.cluster, stack, feast, seen.known, before)
    if found.status.applied_digest != before.applied_digest:
        run.tell("Normal", "FeaturesApplied", found.fact[2])
    run.conditions.set("FeaturesReady", *found.fact)
    run.fields["feast"] = found.status
    # Pods read the settings when they start: those of a stack that serves already are replaced once its
    # features are online, and until then know the package's users. A new stack waits for its features.
    run.online = bool(found.status.applied_digest) or seen.plan.live is None
    if found.stalled:
        run.stalled = run.stalled or "FeaturesReady"


async def proceed(
    cluster: Cluster, stack: Stack, feast: Feast, known: Sequence[Known], before: FeastStatus
) -> Standing:
    """One step towards the repository of the version that is to serve."""
    await apply(cluster, kinds.NETWORK_POLICY, network.features(stack))
    version = await _version(cluster, stack, known)
    if version is None and before.applied_digest:  # the next one is trained; those of the last are online
        cron = await cluster.get(kinds.CRON_JOB, stack.namespace, names.feast(stack.name))
        return _increments(stack, cron or {}, before)
    if version is None:
        text = "No version is packaged yet; the features of the first are applied then."
        return Standing((State.FALSE, "NoVersion", text), before)
    repository = builders.repository(stack, feast, version)
    wanted = builders.digest(repository)
    if before.applied_digest != wanted:
        found = await _apply(cluster, stack, feast, version, before)
        if found.status.applied_digest != wanted:
            return found
        before = found.status
    await apply(cluster, kinds.CONFIG_MAP, repository)
    suspended = stack.spec.suspend
    cron = await apply(cluster, kinds.CRON_JOB, builders.cron_job(stack, feast, suspended=suspended))
    return _increments(stack, cron, before)


async def _version(cluster: Cluster, stack: Stack, known: Sequence[Known]) -> Version | None:
    """The version that is to serve; its offline files are there before its package is."""
    goal = versions.target(known, stack)
    found = await cluster.get(kinds.MODEL_VERSION, stack.namespace, goal.name) if goal else None
    return read_version(found) if found is not None else None


async def _apply(
    cluster: Cluster, stack: Stack, feast: Feast, version: Version, before: FeastStatus
) -> Standing:
    if stack.spec.suspend:
        text = f"The features of version {version.name} are applied when spec.suspend is false."
        return Standing((State.FALSE, "Suspended", text), before)
    cron = await cluster.get(kinds.CRON_JOB, stack.namespace, names.feast(stack.name))
    if cron is not None:
        cron = await apply(cluster, kinds.CRON_JOB, builders.cron_job(stack, feast, suspended=True))
        if (cron.get("status") or {}).get("active"):
            text = f"An increment still runs; then the features of version {version.name} are applied."
            return Standing((State.FALSE, "Applying", text), before)
    repository = builders.repository(stack, feast, version)
    await apply(cluster, kinds.CONFIG_MAP, repository)
    digest = builders.digest(repository)
    name = names.feast_job(stack.name, digest, before.runs)
    job = await cluster.get(kinds.JOB, stack.namespace, name)
    if job is None:
        job = await apply(cluster, kinds.JOB, builders.job(stack, feast, digest, before.runs))
    pods = await cluster.list(kinds.POD, stack.namespace, names.selector(stack.name, builders.COMPONENT))
    report = results.read(job, pods, feast.memory, MEMORY)
    if report.failure is not None:
        return Standing((State.FALSE, report.failure.reason, report.failure.message), before, stalled=True)
    if report.state is JobState.RUNNING:
        text = f"Job {name} applies the features of version {version.name}"
        text += f": {report.message}." if report.message else "."
        return Standing((State.FALSE, "Applying", text), before)
    status = FeastStatus(
        applied_digest=digest,
        applied_version=version.name,
        runs=before.runs + 1,
        materialized_at=(job.get("status") or {}).get("completionTime") or before.materialized_at,
    )
    return Standing((State.TRUE, "Materialized", f"The features of {version.name} are online."), status)


def _increments(stack: Stack, cron: Manifest, before: FeastStatus) -> Standing:
    """What became of the increments; a failed one is tried again at its next time."""
    state = cron.get("status") or {}
    last, done = state.get("lastScheduleTime"), state.get("lastSuccessfulTime")
    newest = max((time for time in (before.materialized_at, done) if time), default=None)
    status = before.model_copy(update={"materialized_at": newest})
    if last and not state.get("active") and last > (newest or ""):
        text = (
            f"The increment of {last} failed: see `kubectl logs -l {names.STACK}={stack.name},"
            f"{names.COMPONENT}={builders.COMPONENT} --tail=-1`. It is tried again at its next time; "
            f"requests get the features of {newest} until then."
        )
        return Standing((State.FALSE, "MaterializationFailed", text), status)
    text = f"The features of version {before.applied_version} are online, materialized at {newest}."
    return Standing((State.TRUE, "Materialized", text), status)
