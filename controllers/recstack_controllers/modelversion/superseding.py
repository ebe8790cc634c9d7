"""A version whose place another one took: whether it is, and that nothing of it runs then."""

from recstack_crds.v1alpha1.modelversion import StepStatus

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.conditions import State
from recstack_controllers.modelversion.run import Run
from recstack_controllers.modelversion.status import set_steps
from recstack_controllers.resources import configmaps, modelversion
from recstack_controllers.resources.stack import Stack
from recstack_controllers.settings import Outcome


async def superseded(run: Run, stack: Stack) -> bool:
    """Whether the stack made it, another recipe or a later run took its place, and no pod holds its package.

    What pods hold of one that is not packaged is of an object that somebody deleted: it answers on until
    the other version does, and no step has to run for that.
    """
    annotations = run.live["metadata"].get("annotations") or {}
    if annotations.get(names.RECIPE) != modelversion.BY_STACK:
        return False
    if run.version.name == stack.spec.rollout.pin:
        return False
    others = await run.cluster.list(kinds.MODEL_VERSION, run.namespace, {})
    if run.version.name == modelversion.newest(others, stack):
        return False
    if run.package is None:
        return True
    plan = await run.cluster.get(kinds.CONFIG_MAP, run.namespace, names.plan(stack.name))
    return run.version.name not in configmaps.planned(plan)


async def put_aside(run: Run, stack: Stack) -> Outcome:
    """Stop what runs; what is done stays done, should the spec change back."""
    for step in run.order:
        if run.steps[step].state == "Running":
            await run.cluster.delete(
                kinds.JOB, run.namespace, names.job(run.version.name, step), "Background"
            )
            run.steps[step] = StepStatus(name=step, state="Pending")
    text = f"Stack {stack.name} asks for another version now; this one goes on if that changes back."
    set_steps(run.conditions, list(run.steps.values()))
    if run.package:
        run.set("Loaded", State.FALSE, "Superseded", text)
        run.set("Live", State.FALSE, "Superseded", text)
    run.set("Ready", State.FALSE, "Superseded", text)
    run.set("Reconciling", State.FALSE, "Superseded", text)
    run.set("Stalled", State.FALSE, "NotStalled", "")
    await run.record()
    return Outcome(None)
