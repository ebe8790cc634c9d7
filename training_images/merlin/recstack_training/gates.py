"""Whether a version may serve: each gate against what was measured."""

import math
from collections.abc import Mapping

import numpy as np
from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.modelversion import GateVerdict

from recstack_training.bootstrap import FEWEST, compare, lower_bound
from recstack_training.heldout import Measured
from recstack_training.population import ALL, Slice

CONFIDENCE = 0.95
LIFT = "recall@10/popularity"
INDEX_RECALL = "indexRecall"


def judge(
    gate: Gate,
    slices: Mapping[str, Slice],
    candidate: Measured,
    live: Measured | None,
    *,
    overall: Mapping[str, float],
    seed: int,
) -> GateVerdict:
    """Verdict on ``gate``; ``overall``: metrics that have no slices, ``live`` None: no version was live."""
    of = slices.get(gate.slice or ALL)
    if gate.relative_to is not None:
        return _relative(gate, of, candidate, live, seed)
    if gate.metric in overall:
        value: float | None = overall[gate.metric]
    else:
        value = None if of is None else candidate.value(gate.metric, of)
    least = gate.min is not None
    threshold = gate.min if gate.min is not None else gate.max
    if threshold is None:
        raise ValueError(f"the gate on {gate.metric} has neither min nor max nor relativeTo")
    if value is None:
        return _verdict(gate, threshold, "NotMeasured")
    met = value >= threshold if least else value <= threshold
    return _verdict(gate, threshold, "Passed" if met else "BelowMin" if least else "AboveMax", value)


def _relative(
    gate: Gate, of: Slice | None, candidate: Measured, live: Measured | None, seed: int
) -> GateVerdict:
    ratio = gate.min_ratio is not None
    threshold = gate.min_ratio if gate.min_ratio is not None else gate.min_difference
    if threshold is None:
        raise ValueError(f"the gate on {gate.metric} is relative without minRatio or minDifference")
    if live is None:
        return _verdict(gate, threshold, "NoLiveVersion")
    mine, other = (None if of is None else one.per_request(gate.metric, of) for one in (candidate, live))
    if mine is None or other is None or not mine.requests:
        return _verdict(gate, threshold, "NotMeasured")
    value = float(compare(*(np.array([one.value()]) for one in (mine, other)), ratio=ratio)[0])
    if mine.requests < FEWEST:
        return _verdict(gate, threshold, "TooFewRequests", value)
    bound = lower_bound(
        mine, other, ratio=ratio, confidence=gate.confidence or CONFIDENCE, rng=np.random.default_rng(seed)
    )
    return _verdict(gate, threshold, "Passed" if bound > threshold else "NotShown", value, bound)


def _short(value: float | None) -> float | None:
    """Six digits; JSON has no infinity, so a ratio to nothing is left out."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _verdict(
    gate: Gate, threshold: float, reason: str, value: float | None = None, bound: float | None = None
) -> GateVerdict:
    return GateVerdict(
        metric=gate.metric,
        slice=gate.slice or ALL,
        value=_short(value),
        bound=_short(bound),
        threshold=float(f"{threshold:.6g}"),
        passed=reason in {"Passed", "NoLiveVersion"},
        reason=reason,
    )
