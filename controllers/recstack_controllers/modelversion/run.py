"""One pass over one version: what is known of it, and the status that it writes."""

from functools import cached_property

from recstack_crds.v1alpha1 import ModelVersionStatus
from recstack_crds.v1alpha1.modelversion import StepStatus

from recstack_controllers import kinds
from recstack_controllers.kit import decode
from recstack_controllers.kit import status as statuses
from recstack_controllers.kit.clock import Clock
from recstack_controllers.kit.cluster import Cluster, EventType, Manifest
from recstack_controllers.kit.conditions import Conditions, State
from recstack_controllers.modelversion.status import ORDER, phase
from recstack_controllers.resources import steps
from recstack_controllers.resources.stack import Version, read_version
from recstack_controllers.resources.steps import Step
from recstack_controllers.settings import Settings

POLL = 3.0
"""Seconds between looks while something moves; events of Jobs come sooner, those of pods' loading do not."""


class Run:
    """One pass over one version; events are sent after the status they tell of is written."""

    def __init__(self, cluster: Cluster, clock: Clock, settings: Settings, live: Manifest) -> None:
        metadata = live["metadata"]
        self.cluster, self.settings, self.live = cluster, settings, live
        self.namespace = metadata["namespace"]
        self.before = decode.status(ModelVersionStatus, live)
        self.conditions = Conditions(self.before.conditions, metadata["generation"], clock.now())
        self.steps: dict[str, StepStatus] = {step.name: step for step in self.before.steps}
        self.package, self.metrics = self.before.package, dict(self.before.metrics)
        self.baseline, self.verdicts = self.before.baseline, list(self.before.gates)
        self.rolled_back = self.before.rolled_back
        self.parent, self.window = self.before.parent, self.before.window
        self.skew = list(self.before.skew)
        self._events: list[tuple[EventType, str, str]] = []
        self.was_stalled = self.conditions.is_true("Stalled")

    @cached_property
    def version(self) -> Version:
        """The version; Stalled when its spec does not validate."""
        return read_version(self.live)

    @cached_property
    def order(self) -> tuple[Step, ...]:
        """Steps that the version's kind and recipe ask for, in order."""
        return steps.of(self.version.spec.kind, self.version.spec.recipe)

    def list_steps(self) -> None:
        """List the version's steps."""
        self.steps = {
            step: self.steps.get(step) or StepStatus(name=step, state="Pending") for step in self.order
        }

    def set(self, type: str, state: State, reason: str, message: str) -> None:
        """Set a condition."""
        self.conditions.set(type, state, reason, message)

    def reconciling(self, reason: str, message: str) -> None:
        """Not ready, and why that changes by itself."""
        self.set("Ready", State.FALSE, reason, message)
        self.set("Reconciling", State.TRUE, reason, message)
        self.set("Stalled", State.FALSE, "NotStalled", "")

    def tell(self, type: EventType, reason: str, message: str) -> None:
        """Queue an event."""
        self._events.append((type, reason, message))

    async def record(self) -> None:
        """Write the status if it differs, then send the events."""
        wanted = ModelVersionStatus(
            observed_generation=self.live["metadata"]["generation"],
            phase=phase(self.conditions),
            steps=list(self.steps.values()),
            package=self.package,
            metrics=self.metrics,
            parent=self.parent,
            window=self.window,
            skew=self.skew,
            baseline=self.baseline,
            gates=self.verdicts,
            rolled_back=self.rolled_back,
            conditions=self.conditions.as_list(ORDER),
        )
        self.live = await statuses.write(self.cluster, kinds.MODEL_VERSION, self.live, wanted)
        for event in self._events:
            await self.cluster.event(self.live, *event)
        self._events.clear()
