"""Conditions of a ModelVersion, derived from its steps and from the serving plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.modelversion import StepStatus

from recstack_controllers.kit.conditions import Conditions, State
from recstack_controllers.resources.job import Step

ORDER = (
    "DataReady", "Trained", "Evaluated", "Packaged", "Loaded", "Live", "Ready", "Reconciling", "Stalled",
)  # fmt: skip
BY_STEP = {
    Step.INGEST: "DataReady",
    Step.FEATURES: "Trained",
    Step.TRAIN_RETRIEVAL: "Trained",
    Step.TRAIN_RANKING: "Trained",
    Step.EVALUATE: "Evaluated",
    Step.PACKAGE: "Packaged",
}
DONE = {
    "DataReady": ("Ingested", "The tables were read and split in time."),
    "Trained": ("Trained", "Both models were trained."),
    "Packaged": ("Published", "The package is verified and published."),
}


@dataclass(frozen=True)
class Service:
    """How a version stands in serving: Loaded and Live; ``settled``: no more to come."""

    loaded: tuple[State, str, str]
    live: tuple[State, str, str]
    settled: bool


def missed(gates: Sequence[Gate], metrics: Mapping[str, float]) -> str:
    """What gates a version did not pass, as a sentence; empty when it passed all."""
    parts = []
    for gate in gates:
        got = metrics.get(gate.metric)
        if got is None:
            parts.append(f"{gate.metric} was not measured")
        elif got < gate.min:
            parts.append(f"{gate.metric} is {got:.4g}, below its gate of {gate.min:.4g}")
    return "; ".join(parts)


def set_steps(conditions: Conditions, steps: Sequence[StepStatus]) -> None:
    """Conditions that steps decide; Evaluated's success is set by the gates."""
    state = {step.name: step for step in steps}
    for type in dict.fromkeys(BY_STEP.values()):
        mine = [state[step] for step, of in BY_STEP.items() if of == type]
        failed = next((step for step in mine if step.state == "Failed"), None)
        if failed is not None:
            conditions.set(type, State.FALSE, "StepFailed", failed.message)
        elif all(step.state == "Succeeded" for step in mine):
            if type in DONE:
                conditions.set(type, State.TRUE, *DONE[type])
        elif running := next((step for step in mine if step.state == "Running"), None):
            text = f"Step {running.name} is running" + (f": {running.message}" if running.message else ".")
            conditions.set(type, State.FALSE, "Running", text)
        else:
            conditions.set(type, State.UNKNOWN, "Pending", "Earlier steps come first.")


def phase(conditions: Conditions) -> str:
    """One word for people."""
    if conditions.is_true("Stalled"):
        return "Stalled"
    if conditions.is_true("Live"):
        return "Live"
    if conditions.is_true("Packaged"):
        return "Packaged" if conditions.is_true("Ready") else "Loading"
    ready = conditions.get("Ready")
    if ready is not None and ready.reason in {"Suspended", "Waiting"}:
        return ready.reason
    if conditions.is_true("Trained"):
        return "Evaluating" if not conditions.is_true("Evaluated") else "Packaging"
    return "Training" if conditions.is_true("DataReady") else "Ingesting"
