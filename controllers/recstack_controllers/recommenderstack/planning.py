"""Step: the serving plan, one step further, and the Triton repositories that it names."""

from collections.abc import Sequence
from dataclasses import replace

from recstack_crds.v1alpha1.models import Gate
from recstack_triton_templates.render import render

from recstack_controllers import kinds, latency, proof
from recstack_controllers.kit import names
from recstack_controllers.proof import Proof, Verdict
from recstack_controllers.recommenderstack import progress as progressing
from recstack_controllers.recommenderstack import status, surge, versions
from recstack_controllers.recommenderstack.observe import Observed
from recstack_controllers.recommenderstack.rollout import advance
from recstack_controllers.recommenderstack.run import Run
from recstack_controllers.recommenderstack.serving_settings import serving_settings
from recstack_controllers.recommenderstack.strategy import Look
from recstack_controllers.resources import configmaps
from recstack_controllers.resources.configmaps import Phase, PlannedVersion
from recstack_controllers.resources.stack import Stack


async def proceed(run: Run, stack: Stack, seen: Observed) -> tuple[configmaps.Plan, Proof | None]:
    """The serving plan, one step further; gives it and the pods' judgement on a candidate."""
    plan = seen.plan
    repositories = {one.name: await _repository(run, stack, one.name) for one in plan.versions}
    plan = replace(plan, versions=tuple(replace(one, repo=repositories[one.name]) for one in plan.versions))
    judgement: Proof | None = None
    # A pin is a person's word for this one version, so it goes before the general one.
    frozen = stack.spec.suspend and stack.spec.rollout.pin is None
    told, figures = "", progressing.NONE
    if not frozen or plan.drain or plan.rollout is not None:
        goal = None if _without_features(run, stack, seen) else versions.target(seen.known, stack)
        # While frozen nothing new: a candidate stays one, and what drains may end.
        target = plan.candidate if frozen else await _planned(run, stack, goal)
        moves = plan.moving or (target is not None and target.name != plan.live)
        reports = await proof.observe(run.cluster, run.namespace, run.name) if moves else []
        held = {name for name in plan.drain if proof.held(reports, name)}
        if target is not None and target.name != plan.live:
            judgement = proof.judge(reports, target.name, target.digest)
        name = target.name if target is not None else plan.live
        measured = latency.slowest(reports, target.name) if target is not None else None
        gates = _pod_gates(seen, target)
        unfit = latency.sentence(latency.judge(gates, measured)) if measured is not None else ""
        proven = judgement is not None and judgement.verdict is Verdict.PROVEN
        look = Look(
            target=target,
            proven=proven and (measured is not None or not gates),
            unfit=unfit,
            latency=measured,
            at_once=stack.spec.rollout.pin is not None and stack.spec.rollout.pin == name,
            frozen=frozen,
            promoted=next((one.promoted for one in seen.known if one.name == name), ""),
            measured=progressing.counted(reports, plan.rollout),
            now=run.now,
        )
        figures = progressing.both(look, plan.rollout)
        plan, told = advance(plan, look, held, stack.spec.rollout)
        plan, judgement = surge.proceed(seen.plan, plan, judgement, stack.spec.rollout, seen.generation + 1)
    await _write_plan(run, stack, seen, plan)
    _tell_rollout(run, stack, seen, plan, told=told, figures=figures)
    if plan.live != seen.plan.live and plan.live is not None:
        judgement = None
        run.tell("Normal", "Live", f"Version {plan.live} answers from now on.")
    return plan, judgement


def _without_features(run: Run, stack: Stack, seen: Observed) -> bool:
    """Whether nobody was answered yet and the feature store is empty: it would know nobody."""
    feast = run.fields["feast"]
    empty = feast is None or not feast.applied_digest
    return stack.spec.stores.feast is not None and seen.plan.live is None and empty


def _pod_gates(seen: Observed, target: PlannedVersion | None) -> Sequence[Gate]:
    """Gates on the latency of a candidate that answers nobody yet.

    Once it does, what it did for people counts: a pod that comes then may measure on a busy machine.
    """
    progress = seen.plan.rollout
    if target is None:
        return ()
    if progress is not None and progress.version == target.name and progress.phase is not Phase.LOADING:
        return ()
    return next((one.pod_gates for one in seen.known if one.name == target.name), ())


def _tell_rollout(
    run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan, *, told: str, figures: progressing.Both
) -> None:
    """Status and events of a rollout, from the plan."""
    run.fields["rollout"] = progressing.status(
        run.before.rollout, plan, stack.spec.rollout, told=told, figures=figures, now=run.now
    )
    run.fields["rolled_back"] = list(plan.rolled_back)
    for text in progressing.news(seen.plan, plan, stack.spec.rollout):
        run.tell("Normal", "Rollout", text)
    for one in plan.rolled_back:
        if one not in seen.plan.rolled_back:
            run.tell("Warning", names.ROLLED_BACK, status.taken_back(one))


async def _planned(run: Run, stack: Stack, goal: versions.Known | None) -> PlannedVersion | None:
    if goal is None or goal.package is None:
        return None
    repo = await _repository(run, stack, goal.name)
    return PlannedVersion(goal.name, goal.package, repo, stack.artifacts_uri)


async def _repository(run: Run, stack: Stack, version: str) -> str:
    files = render(version, serving_settings(stack, online=run.online))
    made = await run.apply(kinds.CONFIG_MAP, configmaps.repository(stack, version, files))
    return str(made["metadata"]["name"])


async def _write_plan(run: Run, stack: Stack, seen: Observed, plan: configmaps.Plan) -> None:
    held = {one.name for one in plan.versions}
    measure = {one.name for one in seen.known if one.pod_gates and one.name in held}
    wanted = configmaps.plan(stack, plan, seen.generation, measure)  # labels and owner may still differ
    if seen.plan_object is None or wanted["data"] != seen.plan_object.get("data"):
        wanted = configmaps.plan(stack, plan, seen.generation + 1, measure)
    # Over the one that was read: one made from an old plan would undo a flip.
    await run.apply(kinds.CONFIG_MAP, wanted, seen.plan_object)
