"""Gates on the latency of a bundle, by what serving pods measured when they proved it."""

from collections.abc import Sequence

from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.modelversion import GateVerdict

from recstack_controllers.kit import names
from recstack_controllers.proof import Latency, PodReport

MISSED = "LatencyGateMissed"


def condition_reason(reason: str) -> str:
    """Reason of the conditions of a version that was taken back, or never let in, for ``reason``."""
    return "GateMissed" if reason == MISSED else names.ROLLED_BACK


def slowest(reports: Sequence[PodReport], version: str) -> Latency | None:
    """The greatest of what pods measured; None while one of them has not."""
    found: list[Latency] = []
    for report in reports:
        one = (report.versions or {}).get(version)
        if one is None or one.latency is None:
            return None
        found.append(one.latency)
    if not found:
        return None
    return Latency(p50=max(one.p50 for one in found), p99=max(one.p99 for one in found))


def judge(gates: Sequence[Gate], measured: Latency) -> list[GateVerdict]:
    """Verdict on each of ``gates``."""
    values = {"latencyP50": measured.p50, "latencyP99": measured.p99}
    return [_verdict(gate, values[gate.metric]) for gate in gates]


def _verdict(gate: Gate, value: float) -> GateVerdict:
    limit = gate.max if gate.max is not None else 0.0
    passed = value <= limit
    reason = "Passed" if passed else "AboveMax"
    return GateVerdict(metric=gate.metric, value=value, threshold=limit, passed=passed, reason=reason)


def sentence(verdicts: Sequence[GateVerdict]) -> str:
    """What was missed, with the figures; empty: nothing."""
    return "; ".join(
        f"{one.metric} is {one.value:.4g} ms in the slowest pod, above its gate of {one.threshold:.4g} ms"
        for one in verdicts
        if not one.passed
    )
