"""A step's Job: created once, watched, its result recorded before the next begins."""

from recstack_crds.v1alpha1.modelversion import Baseline, StepStatus

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.apply import apply
from recstack_controllers.kit.conditions import State
from recstack_controllers.kit.errors import Stalled
from recstack_controllers.modelversion import gating, results
from recstack_controllers.modelversion.results import JobState
from recstack_controllers.modelversion.run import POLL, Run
from recstack_controllers.modelversion.status import compiled, running_step, set_steps
from recstack_controllers.resources import configmaps
from recstack_controllers.resources import job as builders
from recstack_controllers.resources.configmaps import read_plan
from recstack_controllers.resources.stack import Stack
from recstack_controllers.resources.steps import Step
from recstack_controllers.settings import Outcome


async def proceed(run: Run, stack: Stack, step: Step) -> Outcome | None:
    """Bring one step forward; None: it is done now, and that is recorded.

    Raises:
        Stalled: it failed.
    """
    name = names.job(run.version.name, step)
    job = await run.cluster.get(kinds.JOB, run.namespace, name)
    if job is None:
        return await _start(run, stack, step, name)
    labels = {names.VERSION: run.version.name, names.STEP: step.value}
    pods = await run.cluster.list(kinds.POD, run.namespace, labels)
    report = results.read(job, pods, run.version.spec.recipe.training.memory)
    if report.state is JobState.RUNNING:
        run.steps[step] = StepStatus(name=step, state="Running", job=name, message=report.message)
        return await _moving(run, step)
    if report.state is JobState.FAILED and report.failure is not None:
        before = _told_before(run, step) if report.result_lost else None
        _fail(run, step, name, before or report.failure)
    if report.result is None:
        # The pod went before its result was read. The step keeps its result on the work volume and
        # a second run only prints it again, so nothing is computed twice.
        await run.cluster.delete(kinds.JOB, run.namespace, name, "Foreground")
        return Outcome(POLL)
    await _succeed(run, step, name, report.result, report.wall)
    return None


async def _start(run: Run, stack: Stack, step: Step, name: str) -> Outcome:
    if stack.spec.suspend:
        text = f"Step {step} begins when spec.suspend of stack {stack.name} is false."
        set_steps(run.conditions, list(run.steps.values()))
        run.set("Ready", State.FALSE, "Suspended", text)
        run.set("Reconciling", State.FALSE, "Suspended", text)
        run.set("Stalled", State.FALSE, "NotStalled", "")
        await run.record()
        return Outcome(None)
    await _recipe(run, stack)
    live = await _live_package(run, step)
    parent = run.parent.package if run.parent else ""
    await apply(run.cluster, kinds.JOB, builders.job(stack, run.version, step, live, parent))
    if step is run.order[0]:
        run.tell("Normal", "TrainingStarted", f"Training of {run.version.name} has started.")
    run.steps[step] = StepStatus(name=step, state="Running", job=name)
    return await _moving(run, step)


async def _recipe(run: Run, stack: Stack) -> None:
    """The recipe's ConfigMap is immutable: one that another release wrote stays as it is."""
    wanted = configmaps.recipe(stack, run.version)
    found = await run.cluster.get(kinds.CONFIG_MAP, run.namespace, wanted["metadata"]["name"])
    if found is not None and "data" in found:
        wanted["data"] = found["data"]
    await apply(run.cluster, kinds.CONFIG_MAP, wanted)


async def _live_package(run: Run, step: Step) -> str:
    """Digest that relative gates compare with; empty when none was live or no gate asks.

    Recorded before the Job is created, so that a Job that is made anew compares with the same.
    """
    evaluation = run.version.spec.recipe.evaluation
    if step is not Step.EVALUATE or all(gate.relative_to is None for gate in evaluation.gates):
        return ""
    if run.baseline is None:
        stack = run.version.spec.stack
        plan, _ = read_plan(await run.cluster.get(kinds.CONFIG_MAP, run.namespace, names.plan(stack)))
        live = next((one for one in plan.versions if one.name == plan.live), None)
        run.baseline = Baseline(version=live.name, package=live.digest) if live else Baseline()
        await run.record()
    return run.baseline.package


async def _moving(run: Run, step: Step) -> Outcome:
    run.reconciling("Training", running_step(run.steps[step]))
    set_steps(run.conditions, list(run.steps.values()))
    if run.steps[Step.EVALUATE].state == "Succeeded":
        gating.decide(run)
    await run.record()
    return Outcome(POLL)


def _told_before(run: Run, step: Step) -> results.Failure | None:
    """Why ``step`` failed, as read when its pod was still there."""
    known, stalled = run.steps[step], run.conditions.get("Stalled")
    if known.state != "Failed":
        return None
    reason = stalled.reason if stalled and stalled.status == State.TRUE else "StepFailed"
    data = run.conditions.get("DataReady")
    return results.Failure(reason, known.message, data is not None and data.reason == reason)


def _fail(run: Run, step: Step, job: str, failure: results.Failure) -> None:
    run.steps[step] = StepStatus(name=step, state="Failed", job=job, message=failure.message)
    set_steps(run.conditions, list(run.steps.values()))
    if failure.bad_input:
        run.set("DataReady", State.FALSE, failure.reason, failure.message)
    raise Stalled(failure.reason, failure.message)


async def _succeed(run: Run, step: Step, job: str, result: results.StepResult, wall: float | None) -> None:
    run.steps[step] = StepStatus(
        name=step, state="Succeeded", job=job, compute_seconds=result.compute_seconds, wall_seconds=wall
    )
    if step in (Step.EMBED, Step.EVALUATE):
        run.metrics |= {name: float(f"{value:.6g}") for name, value in result.metrics.items()}
    run.window = result.window or run.window
    run.skew = result.skew or run.skew
    if step is Step.FEATURES:
        run.set("Compiled", *compiled(result.not_compiled))
    if step is Step.EVALUATE:
        run.verdicts = list(result.gates)
    run.package = result.package or run.package
    if step is Step.PACKAGE and run.package is None:
        failure = results.Failure("ResultUnreadable", f"Job {job} published no package: see its log.")
        _fail(run, step, job, failure)
    run.tell("Normal", "StepSucceeded", f"Step {step} took {result.compute_seconds:.1f} s of compute.")
    run.reconciling("Training", f"Step {step} is done.")
    set_steps(run.conditions, list(run.steps.values()))
    # Recorded before anything else is begun: from here on the step's Job may vanish.
    await run.record()
