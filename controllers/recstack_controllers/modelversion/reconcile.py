"""Bring one ModelVersion forward: the next step's Job, then its stand in serving."""

from functools import cached_property

from recstack_crds.v1alpha1 import ModelVersionStatus
from recstack_crds.v1alpha1.models import LATENCY
from recstack_crds.v1alpha1.modelversion import Baseline, ParentStatus, StepStatus

from recstack_controllers import kinds
from recstack_controllers.kit import decode, names, status
from recstack_controllers.kit.apply import apply
from recstack_controllers.kit.clock import Clock
from recstack_controllers.kit.cluster import Cluster, ClusterError, EventType, Manifest
from recstack_controllers.kit.conditions import Conditions, State
from recstack_controllers.kit.errors import Stalled, Waiting
from recstack_controllers.modelversion import results, serving
from recstack_controllers.modelversion.results import JobState
from recstack_controllers.modelversion.status import (
    ORDER,
    missed,
    passed,
    phase,
    set_steps,
    verdicts,
)
from recstack_controllers.resources import configmaps, modelversion, steps
from recstack_controllers.resources import job as jobs
from recstack_controllers.resources.configmaps import read_plan
from recstack_controllers.resources.stack import Stack, Version, read_stack, read_version
from recstack_controllers.resources.steps import Step
from recstack_controllers.settings import Outcome, Settings

POLL = 3.0
"""Seconds between looks while something moves; events of Jobs come sooner, those of pods' loading do not."""
REFUSED_RETRY = 30.0
EMBEDDINGS = "embeddings."
"""Before the names of what the step embed counted."""
PARENT_RETRY = 15.0


async def reconcile(cluster: Cluster, clock: Clock, settings: Settings, namespace: str, name: str) -> Outcome:
    """One pass; safe to repeat and to cut off anywhere.

    Raises:
        ClusterError: the API server failed; try again. 409: the object changed meanwhile, also try again.
    """
    live = await cluster.get(kinds.MODEL_VERSION, namespace, name)
    if live is None or live["metadata"].get("deletionTimestamp"):
        return Outcome(None)
    run = _Run(cluster, clock, settings, live)
    try:
        return await run.forward()
    except Waiting as waiting:
        run.set("Ready", State.FALSE, "Waiting", waiting.message)
        run.set("Reconciling", State.TRUE, waiting.reason, waiting.message)
        run.set("Stalled", State.FALSE, "NotStalled", "")
        await run.record()
        return Outcome(waiting.retry_after)
    except Stalled as stalled:
        run.set("Ready", State.FALSE, stalled.reason, stalled.action)
        run.set("Reconciling", State.FALSE, "Stalled", "")
        run.set("Stalled", State.TRUE, stalled.reason, stalled.action)
        if not run.was_stalled:
            run.tell("Warning", stalled.reason, stalled.action)
        await run.record()
        return Outcome(None)
    except ClusterError as error:
        if error.transient:
            raise
        text = f"The API server refused: {error}."
        run.set("Ready", State.FALSE, "ApiRefused", text)
        run.set("Reconciling", State.TRUE, "ApiRefused", text)
        run.set("Stalled", State.FALSE, "NotStalled", "")
        await run.record()
        return Outcome(REFUSED_RETRY)


class _Run:
    """One pass over one version; events are sent after the status they tell of is written."""

    def __init__(self, cluster: Cluster, clock: Clock, settings: Settings, live: Manifest) -> None:
        metadata = live["metadata"]
        self._cluster, self._settings, self._live = cluster, settings, live
        self._namespace = metadata["namespace"]
        self._before = decode.status(ModelVersionStatus, live)
        self._conditions = Conditions(self._before.conditions, metadata["generation"], clock.now())
        self._steps: dict[str, StepStatus] = {step.name: step for step in self._before.steps}
        self._package, self._metrics = self._before.package, dict(self._before.metrics)
        self._baseline, self._verdicts = self._before.baseline, list(self._before.gates)
        self._rolled_back = self._before.rolled_back
        self._parent, self._window = self._before.parent, self._before.window
        self._skew = list(self._before.skew)
        self._events: list[tuple[EventType, str, str]] = []
        self.was_stalled = self._conditions.is_true("Stalled")

    @cached_property
    def _version(self) -> Version:
        """The version; Stalled when its spec does not validate."""
        return read_version(self._live)

    @cached_property
    def _order(self) -> tuple[Step, ...]:
        """Steps that the version's kind and recipe ask for, in order."""
        return steps.of(self._version.spec.kind, self._version.spec.recipe)

    def _plan(self) -> None:
        """List the version's steps."""
        self._steps = {
            step: self._steps.get(step) or StepStatus(name=step, state="Pending") for step in self._order
        }

    def set(self, type: str, state: State, reason: str, message: str) -> None:
        """Set a condition."""
        self._conditions.set(type, state, reason, message)

    def tell(self, type: EventType, reason: str, message: str) -> None:
        """Queue an event."""
        self._events.append((type, reason, message))

    async def record(self) -> None:
        """Write the status if it differs, then send the events."""
        wanted = ModelVersionStatus(
            observed_generation=self._live["metadata"]["generation"],
            phase=phase(self._conditions),
            steps=list(self._steps.values()),
            package=self._package,
            metrics=self._metrics,
            parent=self._parent,
            window=self._window,
            skew=self._skew,
            baseline=self._baseline,
            gates=self._verdicts,
            rolled_back=self._rolled_back,
            conditions=self._conditions.as_list(ORDER),
        )
        self._live = await status.write(self._cluster, kinds.MODEL_VERSION, self._live, wanted)
        for event in self._events:
            await self._cluster.event(self._live, *event)
        self._events.clear()

    async def forward(self) -> Outcome:
        """Steps in order, gates between evaluate and package, then serving."""
        self._plan()
        stack = await self._stack()
        if await self._superseded(stack):
            return await self._put_aside(stack)
        await self._find_parent(stack)
        for step in self._order:
            if self._steps[step].state != "Succeeded":
                return await self._step(stack, step)
            if step is Step.EVALUATE:
                self._gates()
        return await self._serve(stack)

    async def _superseded(self, stack: Stack) -> bool:
        """Whether the stack made it, no pod needs it, and another recipe or a later run took its place."""
        annotations = self._live["metadata"].get("annotations") or {}
        if annotations.get(names.RECIPE) != modelversion.BY_STACK:
            return False
        if self._version.name == stack.spec.rollout.pin:
            return False
        others = await self._cluster.list(kinds.MODEL_VERSION, self._namespace, {})
        if self._version.name == modelversion.newest(others, stack):
            return False
        plan = await self._cluster.get(kinds.CONFIG_MAP, self._namespace, names.plan(stack.name))
        return self._version.name not in configmaps.planned(plan)

    async def _put_aside(self, stack: Stack) -> Outcome:
        """Stop what runs; what is done stays done, should the spec change back."""
        for step in self._order:
            if self._steps[step].state == "Running":
                await self._cluster.delete(
                    kinds.JOB, self._namespace, names.job(self._version.name, step), "Background"
                )
                self._steps[step] = StepStatus(name=step, state="Pending")
        text = f"Stack {stack.name} asks for another version now; this one goes on if that changes back."
        set_steps(self._conditions, list(self._steps.values()))
        if self._package:
            self.set("Loaded", State.FALSE, "Superseded", text)
            self.set("Live", State.FALSE, "Superseded", text)
        self.set("Ready", State.FALSE, "Superseded", text)
        self.set("Reconciling", State.FALSE, "Superseded", text)
        self.set("Stalled", State.FALSE, "NotStalled", "")
        await self.record()
        return Outcome(None)

    async def _stack(self) -> Stack:
        name = self._version.spec.stack
        found = await self._cluster.get(kinds.RECOMMENDER_STACK, self._namespace, name)
        if found is None:
            raise Waiting(
                "StackMissing", f"There is no RecommenderStack {name} in {self._namespace}: create it.", 30
            )
        return read_stack(found, self._settings)

    def _gates(self) -> None:
        gates = self._version.spec.recipe.evaluation.held_out_gates
        in_pods = [one for one in self._verdicts if one.metric in LATENCY]
        told = [one for one in self._verdicts if one.metric not in LATENCY]
        decided = verdicts(gates, told, self._metrics)
        self._verdicts = [*decided, *in_pods]
        gap = missed(decided)
        if gap:
            self.set("Evaluated", State.FALSE, "GateMissed", f"{gap}.")
            raise Stalled(
                "GateMissed",
                f"{gap}: it will not serve. Train it otherwise or lower the gate in the stack.",
            )
        measured = ", ".join(
            f"{name} {value:.4g}"
            for name, value in sorted(self._metrics.items())
            if not name.startswith(EMBEDDINGS)
        )
        text = f"Measured on the held-out days: {measured}.{passed(decided)}"
        self.set("Evaluated", State.TRUE, "GatesPassed", text)

    async def _step(self, stack: Stack, step: Step) -> Outcome:
        name = names.job(self._version.name, step)
        job = await self._cluster.get(kinds.JOB, self._namespace, name)
        if job is None:
            return await self._start(stack, step, name)
        labels = {names.VERSION: self._version.name, names.STEP: step.value}
        pods = await self._cluster.list(kinds.POD, self._namespace, labels)
        report = results.read(job, pods, self._version.spec.recipe.training.memory)
        if report.state is JobState.RUNNING:
            self._steps[step] = StepStatus(name=step, state="Running", job=name, message=report.message)
            return await self._moving(step)
        if report.state is JobState.FAILED and report.failure is not None:
            before = self._told_before(step) if report.result_lost else None
            self._fail(step, name, before or report.failure)
        if report.result is None:
            # The pod went before its result was read. The step keeps its result on the work volume and
            # a second run only prints it again, so nothing is computed twice.
            await self._cluster.delete(kinds.JOB, self._namespace, name, "Foreground")
            return Outcome(POLL)
        return await self._succeed(stack, step, name, report.result, report.wall)

    async def _start(self, stack: Stack, step: Step, name: str) -> Outcome:
        if stack.spec.suspend:
            text = f"Step {step} begins when spec.suspend of stack {stack.name} is false."
            set_steps(self._conditions, list(self._steps.values()))
            self.set("Ready", State.FALSE, "Suspended", text)
            self.set("Reconciling", State.FALSE, "Suspended", text)
            self.set("Stalled", State.FALSE, "NotStalled", "")
            await self.record()
            return Outcome(None)
        await self._recipe(stack)
        live = await self._live_package(step)
        parent = self._parent.package if self._parent else ""
        await apply(self._cluster, kinds.JOB, jobs.job(stack, self._version, step, live, parent))
        if step is self._order[0]:
            self.tell("Normal", "TrainingStarted", f"Training of {self._version.name} has started.")
        self._steps[step] = StepStatus(name=step, state="Running", job=name)
        return await self._moving(step)

    async def _recipe(self, stack: Stack) -> None:
        """The recipe's ConfigMap is immutable: one that another release wrote stays as it is."""
        wanted = configmaps.recipe(stack, self._version)
        found = await self._cluster.get(kinds.CONFIG_MAP, self._namespace, wanted["metadata"]["name"])
        if found is not None and "data" in found:
            wanted["data"] = found["data"]
        await apply(self._cluster, kinds.CONFIG_MAP, wanted)

    async def _live_package(self, step: Step) -> str:
        """Digest that relative gates compare with; empty when none was live or no gate asks.

        Recorded before the Job is created, so that a Job that is made anew compares with the same.
        """
        evaluation = self._version.spec.recipe.evaluation
        if step is not Step.EVALUATE or all(gate.relative_to is None for gate in evaluation.gates):
            return ""
        if self._baseline is None:
            stack = self._version.spec.stack
            plan, _ = read_plan(await self._cluster.get(kinds.CONFIG_MAP, self._namespace, names.plan(stack)))
            live = next((one for one in plan.versions if one.name == plan.live), None)
            self._baseline = Baseline(version=live.name, package=live.digest) if live else Baseline()
            await self.record()
        return self._baseline.package

    async def _find_parent(self, stack: Stack) -> None:
        """The package that a fine-tune goes on from, recorded before its first Job is created.

        Raises:
            Waiting: the parent has no package, or not yet.
        """
        parent = self._version.spec.parent
        if parent is None or self._parent is not None:
            return
        if parent.startswith("sha256:"):
            self._parent = ParentStatus(package=parent)
        else:
            self._parent = ParentStatus(version=parent, package=await self._package_of(stack, parent))
        await self.record()

    async def _package_of(self, stack: Stack, name: str) -> str:
        found = await self._cluster.get(kinds.MODEL_VERSION, self._namespace, name)
        if found is not None and found["spec"].get("stack") == stack.name:
            package = decode.status(ModelVersionStatus, found).package
            if package:
                return package
            raise Waiting("ParentNotPackaged", f"Its parent {name} has no package yet.", PARENT_RETRY)
        # What pods hold goes on to be a parent when its ModelVersion is deleted.
        plan, _ = read_plan(
            await self._cluster.get(kinds.CONFIG_MAP, self._namespace, names.plan(stack.name))
        )
        planned = next((one.digest for one in plan.versions if one.name == name), None)
        if planned is None:
            text = (
                f"Stack {stack.name} has no ModelVersion {name} to go on from: delete this one, name another."
            )
            raise Waiting("ParentMissing", text, PARENT_RETRY)
        return planned

    async def _moving(self, step: Step) -> Outcome:
        found = self._steps[step]
        text = f"Step {step} is running" + (f": {found.message}" if found.message else ".")
        self._reconciling("Training", text)
        set_steps(self._conditions, list(self._steps.values()))
        if self._steps[Step.EVALUATE].state == "Succeeded":
            self._gates()
        await self.record()
        return Outcome(POLL)

    def _reconciling(self, reason: str, message: str) -> None:
        self.set("Ready", State.FALSE, reason, message)
        self.set("Reconciling", State.TRUE, reason, message)
        self.set("Stalled", State.FALSE, "NotStalled", "")

    def _told_before(self, step: Step) -> results.Failure | None:
        """Why ``step`` failed, as read when its pod was still there."""
        known, stalled = self._steps[step], self._conditions.get("Stalled")
        if known.state != "Failed":
            return None
        reason = stalled.reason if stalled and stalled.status == State.TRUE else "StepFailed"
        data = self._conditions.get("DataReady")
        return results.Failure(reason, known.message, data is not None and data.reason == reason)

    def _fail(self, step: Step, job: str, failure: results.Failure) -> None:
        self._steps[step] = StepStatus(name=step, state="Failed", job=job, message=failure.message)
        set_steps(self._conditions, list(self._steps.values()))
        if failure.bad_input:
            self.set("DataReady", State.FALSE, failure.reason, failure.message)
        raise Stalled(failure.reason, failure.message)

    async def _succeed(
        self, stack: Stack, step: Step, job: str, result: results.StepResult, wall: float | None
    ) -> Outcome:
        self._steps[step] = StepStatus(
            name=step, state="Succeeded", job=job, compute_seconds=result.compute_seconds, wall_seconds=wall
        )
        if step in (Step.EMBED, Step.EVALUATE):
            self._metrics |= {name: float(f"{value:.6g}") for name, value in result.metrics.items()}
        self._window = result.window or self._window
        self._skew = result.skew or self._skew
        if step is Step.EVALUATE:
            self._verdicts = list(result.gates)
        self._package = result.package or self._package
        if step is Step.PACKAGE and self._package is None:
            failure = results.Failure("ResultUnreadable", f"Job {job} published no package: see its log.")
            self._fail(step, job, failure)
        self.tell("Normal", "StepSucceeded", f"Step {step} took {result.compute_seconds:.1f} s of compute.")
        self._reconciling("Training", f"Step {step} is done.")
        set_steps(self._conditions, list(self._steps.values()))
        # Recorded before anything else is begun: from here on the step's Job may vanish.
        await self.record()
        return await self.forward()

    async def _serve(self, stack: Stack) -> Outcome:
        metadata = self._live["metadata"]
        set_steps(self._conditions, list(self._steps.values()))
        self._gates()
        promoted = modelversion.promoted(metadata)
        was_live = self._conditions.is_true("Live")
        stand = await serving.observe(
            self._cluster,
            self._namespace,
            self._version,
            self._package or "",
            metadata["creationTimestamp"],
            promoted=promoted,
            pin=stack.spec.rollout.pin,
            rolled_back=self._rolled_back,
        )
        self._rolled_back = stand.rolled_back
        if stand.latency:
            offline = [one for one in self._verdicts if one.metric not in LATENCY]
            self._verdicts = [*offline, *stand.latency]
        self.set("Loaded", *stand.loaded)
        self.set("Live", *stand.live)
        if stand.rolled_back is not None:
            raise Stalled(*stand.live[1:])
        if stand.settled:
            self.set("Ready", State.TRUE, stand.live[1], stand.live[2])
            self.set("Reconciling", State.FALSE, "Settled", "")
            self.set("Stalled", State.FALSE, "NotStalled", "")
        else:
            self._reconciling("Loading", stand.loaded[2])
        if self._conditions.is_true("Live") and not was_live:
            self.tell("Normal", "Live", f"{self._version.name} answers all requests from now on.")
        await self.record()
        return Outcome(None if stand.settled else POLL)
