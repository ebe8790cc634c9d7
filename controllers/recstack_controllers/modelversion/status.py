"""Conditions of a ModelVersion, derived from its steps and from the serving plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.modelversion import GateVerdict, NotCompiled, StepStatus
from recstack_crds.v1alpha1.rollout import RolledBack

from recstack_controllers.kit import names
from recstack_controllers.kit.conditions import Conditions, State
from recstack_controllers.resources.steps import CONTRACTS

ORDER = (
    "DataReady", "Compiled", "Trained", "Evaluated", "Packaged", "Loaded", "Live",
    "Ready", "Reconciling", "Stalled",
)  # fmt: skip
BY_STEP = {step: contract.condition for step, contract in CONTRACTS.items()}
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
    rolled_back: RolledBack | None = None
    latency: list[GateVerdict] = field(default_factory=list)
    """Verdicts of gates that pods decide; empty: not known now."""


def verdicts(
    gates: Sequence[Gate], told: Sequence[GateVerdict], metrics: Mapping[str, float]
) -> list[GateVerdict]:
    """The verdict on each of ``gates``: as the evaluation told it.

    A version that was evaluated before evaluations told verdicts has its metrics only, and gates on
    nothing else; anything that was not told is not passed.
    """
    if len(told) == len(gates):
        return list(told)
    return [_by_metric(gate, metrics) for gate in gates]


def _by_metric(gate: Gate, metrics: Mapping[str, float]) -> GateVerdict:
    whole = gate.relative_to is None and gate.slice in {None, "all"}
    got = metrics.get(gate.metric) if whole else None
    threshold = next(
        (bound for bound in (gate.min, gate.max, gate.min_ratio, gate.min_difference) if bound is not None),
        0.0,
    )
    reason = "Passed"
    if got is None:
        reason = "NotMeasured"
    elif gate.min is not None and got < gate.min:
        reason = "BelowMin"
    elif gate.max is not None and got > gate.max:
        reason = "AboveMax"
    return GateVerdict(
        metric=gate.metric, slice=gate.slice or "all", value=got, threshold=threshold,
        passed=reason == "Passed", reason=reason,
    )  # fmt: skip


def compiled(others: Sequence[NotCompiled]) -> tuple[State, str, str]:
    """Condition Compiled of a version whose features were fitted; ``others`` are what NVTabular runs."""
    if not others:
        return State.TRUE, "Compiled", "Every feature is look-ups and arithmetic in the serving pods."
    told = ", ".join(f"{one.feature} ({one.operator})" for one in others)
    text = f"NVTabular runs beside the models for {told}: a new value takes some milliseconds more."
    return State.FALSE, "NVTabular", text


def missed(found: Sequence[GateVerdict]) -> str:
    """What gates a version did not pass, with the figures, as a sentence; empty when it passed all."""
    return "; ".join(_sentence(one) for one in found if not one.passed)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _sentence(verdict: GateVerdict) -> str:
    """Why a gate is not passed."""
    what = verdict.metric if verdict.slice == "all" else f"{verdict.metric} of {verdict.slice}"
    got, asked = _figure(verdict.value), _figure(verdict.threshold)
    sentences = {
        "BelowMin": f"{what} is {got}, below its gate of {asked}",
        "AboveMax": f"{what} is {got}, above its gate of {asked}",
        "NotMeasured": f"{what} was not measured",
        "NotShown": f"{what} against the live version is {got} with a lower bound of "
        f"{_figure(verdict.bound)}, not above its gate of {asked}",
        "TooFewRequests": f"{what} against the live version is {got}, of too few requests to be believed",
    }
    return sentences.get(verdict.reason, f"{what} is {got}, its gate of {asked} is missed")


def passed(found: Sequence[GateVerdict]) -> str:
    """What is worth telling of gates that passed: those that had nothing to compare with."""
    free = [one.metric for one in found if one.reason == "NoLiveVersion"]
    return f" No version was live to compare {', '.join(free)} with (NoLiveVersion)." if free else ""


def running_step(step: StepStatus) -> str:
    """A sentence about a step whose Job has not ended; others follow it in the stack's conditions."""
    return f"Step {step.name} is running" + (f": {step.message.rstrip('.')}." if step.message else ".")


def set_steps(conditions: Conditions, steps: Sequence[StepStatus]) -> None:
    """Conditions that steps decide; Evaluated's success is set by the gates."""
    state = {step.name: step for step in steps}
    for type in dict.fromkeys(BY_STEP.values()):
        mine = [state[step] for step, of in BY_STEP.items() if of == type and step in state]
        failed = next((step for step in mine if step.state == "Failed"), None)
        if failed is not None:
            conditions.set(type, State.FALSE, "StepFailed", failed.message)
        elif mine and all(step.state == "Succeeded" for step in mine):
            if type in DONE:
                conditions.set(type, State.TRUE, *DONE[type])
        elif running := next((step for step in mine if step.state == "Running"), None):
            conditions.set(type, State.FALSE, "Running", running_step(running))
        else:
            conditions.set(type, State.UNKNOWN, "Pending", "Earlier steps come first.")


def phase(conditions: Conditions) -> str:
    """One word for people."""
    if conditions.is_true("Stalled"):
        return "Stalled"
    live = conditions.get("Live")
    if live is not None and live.reason in {"Live", "Canary", "Shadow", names.ROLLED_BACK}:
        return live.reason
    if conditions.is_true("Packaged"):
        return "Packaged" if conditions.is_true("Ready") else "Loading"
    ready = conditions.get("Ready")
    if ready is not None and ready.reason in {"Suspended", "Waiting"}:
        return ready.reason
    if conditions.is_true("Trained"):
        return "Evaluating" if not conditions.is_true("Evaluated") else "Packaging"
    return "Training" if conditions.is_true("DataReady") else "Ingesting"
