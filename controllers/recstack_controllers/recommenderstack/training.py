"""Steps: the ModelVersions that the recipe, schedules and triggers ask for."""

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.errors import Waiting
from recstack_controllers.modelversion import results
from recstack_controllers.recommenderstack import schedules, secrets, status, triggers, versions
from recstack_controllers.recommenderstack.observe import Observed
from recstack_controllers.recommenderstack.run import POLL, Run
from recstack_controllers.resources import check, configmaps, modelversion
from recstack_controllers.resources.stack import Stack, read_version


async def version_of_recipe(run: Run, stack: Stack, seen: Observed) -> None:
    """The recipe's ModelVersion, made once: what exists is immutable, a scheduled run will do."""
    name = modelversion.name(stack)
    if stack.spec.suspend or versions.of_recipe(seen.known, stack):
        return
    source = stack.spec.data.source.s3
    await secrets.require_s3(run.cluster, run.namespace, source, "spec.data.source.s3")
    for one in stack.spec.features.embeddings:
        field = f"spec.features.embeddings {one.name}: encoder.weights.s3"
        await secrets.require_s3(run.cluster, run.namespace, one.encoder.weights.s3, field)
    if await run.cluster.get(kinds.MODEL_VERSION, run.namespace, name) is not None:
        raise Waiting("Training", f"Version {name} is being deleted; it is made anew after that.", POLL)
    await run.apply(kinds.MODEL_VERSION, modelversion.model_version(stack))
    run.tell("Normal", "VersionCreated", f"Version {name} will be trained.")


async def scheduled_versions(run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan) -> str | None:
    """Versions of the runs that are due; gives the one that is trained, or about to be."""
    found = schedules.decide(stack, run.before.schedules, seen.known, plan.live, run.now)
    for due in found.runs:
        made = modelversion.model_version(stack, due.origin, due.parent)
        text = f"Version {made['metadata']['name']} is trained for schedule {due.origin.schedule}."
        await run.apply(kinds.MODEL_VERSION, made)
        run.tell("Normal", "VersionCreated", text)
    for text in found.missed:
        run.tell("Warning", "ScheduleMissed", text)
    run.fields["schedules"] = found.status
    run.set_or_remove("Scheduled", found.fact)
    if found.fact is not None and found.fact[1] == schedules.INVALID:
        run.stalled = run.stalled or "Scheduled"
    run.wake += [found.wake] if found.wake else []
    return found.busy


async def look_at_data(run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
    """The Job that looks at the data for triggers, and what it found."""
    before, live = run.before.check, _live_of_recipe(stack, seen, plan)
    job = await _check_report(run, stack, before.job) if before and before.job else None
    found = triggers.look(stack, before, job, live, run.now)
    if found.begin is not None and live is not None and live.window is not None:
        manifest = await run.cluster.get(kinds.MODEL_VERSION, run.namespace, live.name)
        if manifest is None:
            return
        version = read_version(manifest)
        await run.apply(kinds.JOB, check.job(stack, version, found.begin, live.window.last))
    run.fields["check"] = found.status
    run.wake += [found.wake] if found.wake else []


async def _check_report(run: Run, stack: Stack, name: str) -> results.JobReport | None:
    job = await run.cluster.get(kinds.JOB, run.namespace, name)
    if job is None:
        return None
    pods = await run.cluster.list(kinds.POD, run.namespace, {names.CHECK: name})
    return results.read(job, pods, check.MEMORY)


def _live_of_recipe(stack: Stack, seen: Observed, plan: configmaps.Plan) -> versions.Known | None:
    return next((one for one in versions.of_recipe(seen.known, stack) if one.name == plan.live), None)


async def triggered_versions(
    run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan, busy: str | None
) -> None:
    """Versions that new data, drift or age ask for."""
    live, fresh = _live_of_recipe(stack, seen, plan), run.conditions.get("Fresh")
    stale = fresh is not None and fresh.reason == "Stale"
    found = triggers.decide(stack, run.fields["check"], seen.known, live, stale=stale, busy=busy)
    for due in found.runs:
        made = modelversion.model_version(stack, due.origin, due.parent, due.days)
        await run.apply(kinds.MODEL_VERSION, made)
        text = f"Version {made['metadata']['name']} is trained ({due.origin.schedule}): {due.why}."
        run.tell("Normal", "VersionCreated", text)
    run.set_or_remove("Watched", found.fact)


def freshness(run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
    """Whether the live version's data is older than the stack allows."""
    limit = stack.spec.training.max_staleness
    if limit is None:
        run.conditions.remove("Fresh")
        return
    fact, turns = status.fresh(plan.live, seen.known, limit, run.now)
    if fact[1] == "Stale" and run.conditions.is_true("Fresh"):
        run.tell("Warning", *fact[1:])
    run.conditions.set("Fresh", *fact)
    run.wake += [turns] if turns else []
