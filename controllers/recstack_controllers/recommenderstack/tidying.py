"""Step: what no plan and no history needs any more goes."""

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.recommenderstack import pruning, versions
from recstack_controllers.recommenderstack.observe import Observed, all_ready
from recstack_controllers.recommenderstack.run import Run
from recstack_controllers.resources import configmaps, prune
from recstack_controllers.resources.stack import Stack


async def proceed(run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
    """Versions beyond the history limit, and repositories that no plan and no pod names any more."""
    await _prune(run, stack, seen, plan)
    if seen.deployment is None or not all_ready(seen.deployment) or plan != seen.plan:
        return
    used = {one.repo for one in plan.versions}
    labels = {names.STACK: run.name, names.COMPONENT: configmaps.REPOSITORY}
    for found in await run.cluster.list(kinds.CONFIG_MAP, run.namespace, labels):
        name, version = found["metadata"]["name"], found["metadata"]["labels"].get(names.VERSION)
        if name not in used and version not in plan.drain:
            await run.cluster.delete(kinds.CONFIG_MAP, run.namespace, name, "Background")


async def _prune(run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
    """Versions beyond the history limit, and their files after them.

    A Job that fails stays until its TTL takes it, and is made anew then.
    """
    past = versions.history(seen.known, stack, plan)
    found = pruning.decide(run.before.leaving, past, seen.known, seen.version_names, plan)
    run.fields["leaving"] = list(found.leaving)
    for name in found.delete:
        await run.cluster.delete(kinds.MODEL_VERSION, run.namespace, name, "Background")
    if not found.versions:
        return
    made = await run.apply(kinds.JOB, prune.job(stack, found.versions, found.packages))
    ended = {
        one["type"] for one in (made.get("status") or {}).get("conditions") or [] if one["status"] == "True"
    }
    if "Complete" in ended:
        run.fields["leaving"] = list(pruning.done(found))
