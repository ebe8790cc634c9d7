"""Gates: what noise may do, what a real difference must do, and that every verdict fits where it is told."""

import json
from typing import Any

import numpy as np
import pytest
from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.modelversion import GateVerdict
from recstack_training import gates
from recstack_training.bootstrap import FEWEST, PerRequest, compare, lower_bound, mean
from recstack_training.cli import TERMINATION_LIMIT, report
from recstack_training.context import Made, StepResult
from recstack_training.dataset import Encoded
from recstack_training.heldout import HeldOut, Measured
from recstack_training.measures import auc
from recstack_training.population import Slice

SLICES = {"all": Slice("all")}


def held_out(users: int = 60, items: int = 40, events: int = 600, seed: int = 0) -> HeldOut:
    rng = np.random.default_rng(seed)
    none: dict[str, Any] = {}
    log, train = (
        Encoded(np.arange(users), none, none, none, rng.integers(users, size=events),
                rng.integers(items, size=events), np.arange(events), none)
        for _ in range(2)
    )  # fmt: skip
    return HeldOut.of(log, train, np.arange(items), 5, seed)


def measured(world: HeldOut, seed: int, good: float = 0.0) -> Measured:
    """Random lists and scores; a share ``good`` of the users get one of their relevant items first."""
    rng, items = np.random.default_rng(seed), len(world.item_ids)
    rows = np.array([rng.permutation(items) for _ in world.asked.user])
    for place in np.flatnonzero(rng.random(len(rows)) < good):
        mine = world.asked.pairs[world.asked.pairs // items == world.asked.user[place]] % items
        wanted = rng.permutation(mine)[:10]
        rows[place] = [*wanted, *(row for row in rows[place] if row not in wanted)]
    return Measured(world, rows, rng.random(world.scored.shape).astype(np.float32))


def judge(gate: dict[str, Any], candidate: Measured, live: Measured | None, seed: int = 0) -> GateVerdict:
    return gates.judge(Gate.model_validate(gate), SLICES, candidate, live, overall=OVERALL, seed=seed)


OVERALL = {"recall@10/popularity": 3.0, "indexRecall": 0.98}
RELATIVE = {"metric": "recall@10", "relativeTo": "live", "minDifference": 0}


def test_noise_promotes_at_most_alpha_of_the_time() -> None:
    """A/A: both drawn from one law, 400 times; four standard deviations of chance above 5 % are allowed."""
    rng, times, passes = np.random.default_rng(5), 400, 0
    for _ in range(times):
        quality = rng.random(120)
        one, other = ((rng.random((10, 120)) < quality).mean(axis=0) for _ in range(2))
        there = np.ones(120, bool)
        bound = lower_bound(mean(one, there), mean(other, there), ratio=False, confidence=0.95, rng=rng)
        passes += bound > 0
    assert passes / times <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / times)
    assert passes > 0, "a bound that never lets anything pass shows nothing"


def test_a_real_difference_is_found_and_a_worse_one_is_not_promoted() -> None:
    world = held_out()
    weak, strong = measured(world, 1), measured(world, 2, good=0.8)
    verdict = judge(RELATIVE, strong, weak)
    assert (verdict.passed, verdict.reason) == (True, "Passed")
    assert verdict.value is not None
    assert verdict.bound is not None
    assert 0 < verdict.bound < verdict.value
    worse = judge(RELATIVE, weak, strong)
    assert (worse.passed, worse.reason) == (False, "NotShown")
    ratio = judge({"metric": "ndcg@5", "relativeTo": "live", "minRatio": 1.1}, strong, weak)
    assert ratio.passed


def test_the_same_version_is_not_better_but_not_worse_by_a_margin() -> None:
    one = measured(held_out(), 1)
    assert judge(RELATIVE, one, one).reason == "NotShown"
    for metric in ("recall@10", "ndcg@20", "novelty@10", "auc"):
        gate = {"metric": metric, "relativeTo": "live", "minDifference": -0.001}
        verdict = judge(gate, one, one)
        assert (verdict.passed, verdict.value, verdict.bound) == (True, 0, 0)


def test_a_seed_gives_one_verdict() -> None:
    world = held_out()
    found = [judge(RELATIVE, measured(world, 2, 0.2), measured(world, 1), seed=3) for _ in range(2)]
    assert found[0] == found[1]


def test_what_cannot_be_judged_says_why() -> None:
    world = held_out()
    one = measured(world, 1)
    assert (judge(RELATIVE, one, None).passed, judge(RELATIVE, one, None).reason) == (True, "NoLiveVersion")
    few = measured(held_out(users=FEWEST - 1), 1)
    assert judge(RELATIVE | {"minDifference": -1}, few, few).reason == "TooFewRequests"
    nowhere = judge({"metric": "recall@10", "slice": "colour=red", "min": 0}, one, None)
    assert (nowhere.passed, nowhere.reason, nowhere.value) == (False, "NotMeasured", None)


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ({"metric": "recall@10/popularity", "min": 3.0}, "Passed"),
        ({"metric": "recall@10/popularity", "min": 3.1}, "BelowMin"),
        ({"metric": "indexRecall", "min": 0.98}, "Passed"),
        ({"metric": "indexRecall", "min": 0.99}, "BelowMin"),
        ({"metric": "coverage@20", "max": 0.5}, "AboveMax"),
        ({"metric": "calibrationError", "max": 0.01}, "AboveMax"),
        ({"metric": "auc", "min": 0.4}, "Passed"),
    ],
)
def test_absolute_gates(gate: dict[str, Any], reason: str) -> None:
    verdict = judge(gate, measured(held_out(), 1), None)
    assert (verdict.reason, verdict.passed) == (reason, reason == "Passed")
    assert verdict.bound is None


def test_auc_of_all_requests_is_the_pooled_one() -> None:
    world = held_out()
    one = measured(world, 4)
    assert one.scores is not None
    pooled = auc(one.scores[:, 0], one.scores[:, 1:][world.counted[:, 1:]])
    parts = one.per_request("auc", SLICES["all"])
    assert parts is not None
    assert parts.value() == pytest.approx(pooled) == one.value("auc", SLICES["all"])


def test_ratios_to_nothing() -> None:
    got = compare(np.array([1.0, 0.0, 1.0]), np.array([0.0, 0.0, 2.0]), ratio=True)
    assert got.tolist() == [np.inf, 1, 0.5]


def test_requests_without_a_part_do_not_count() -> None:
    there = np.array([True, False, True])
    parts = mean(np.array([1.0, 9.0, 0.0]), there)
    assert (parts.value(), parts.requests) == (0.5, 2)
    twice = PerRequest(np.hstack([parts.sums] * 2), np.hstack([parts.counts] * 2), 0.25)
    assert twice.value() == 0.75


def test_the_worst_result_fits_into_a_termination_message(tmp_path: Any, capsys: Any) -> None:
    """Sixteen gates with the longest names and figures, and every metric that is told."""
    long = -1.23456e-05
    verdict = GateVerdict(metric="recall@10/popularity", slice="s" * 48, value=long, bound=long,
                          threshold=long, passed=False, reason="TooFewRequests")  # fmt: skip
    told = (verdict.model_dump(by_alias=True, exclude_none=True),) * 16
    metrics = {f"calibrationError{n}": -1.23456e-05 for n in range(13)}
    log = tmp_path / "termination"
    report(StepResult("evaluate", 123456.789, Made(metrics, None, told)).as_json(), log)
    assert len(log.read_bytes()) < TERMINATION_LIMIT
    assert json.loads(log.read_text()) == json.loads(capsys.readouterr().out)
