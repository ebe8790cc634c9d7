"""The test that may be looked at at any time: how often it cries wolf, and how soon it sees one."""

import math
import random

import pytest
from recstack_controllers.kit.sequential import evidence
from recstack_controllers.recommenderstack import verdict
from recstack_controllers.recommenderstack.verdict import Call, Figures
from recstack_crds.v1alpha1.rollout import ClickThrough

ALPHA = 0.05
RUNS = 200


def looks(rate: float, bound: float, length: int, seed: int) -> bool:
    """Whether a stream of that rate is ever rejected, looked at every twenty trials."""
    dice, found = random.Random(seed), 0
    for trial in range(1, length + 1):
        found += dice.random() < rate
        if trial % 20 == 0 and evidence(found, trial, bound) >= 1 / ALPHA:
            return True
    return False


@pytest.mark.parametrize("bound", [0.01, 0.2, 0.5, 0.9])
def test_a_rate_at_the_bound_is_seldom_rejected_however_often_one_looks(bound: float) -> None:
    alarms = sum(looks(bound, bound, 1500, seed) for seed in range(RUNS))
    # 0.05 and four standard errors
    assert alarms / RUNS <= ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


def test_peeking_at_a_test_of_fixed_size_would_be_rejected_far_more_often() -> None:
    """What the test above guards against: the same looks with an ordinary z test."""

    def peeks(seed: int) -> bool:
        dice, found = random.Random(seed), 0
        for trial in range(1, 1501):
            found += dice.random() < 0.2
            z = (found - 0.2 * trial) / math.sqrt(0.16 * trial)
            if trial % 20 == 0 and z >= 1.645:
                return True
        return False

    assert sum(peeks(seed) for seed in range(RUNS)) / RUNS > 3 * ALPHA


@pytest.mark.parametrize(("rate", "bound"), [(0.05, 0.01), (0.3, 0.2), (0.6, 0.5)])
def test_a_greater_rate_is_found(rate: float, bound: float) -> None:
    assert sum(looks(rate, bound, 1500, seed) for seed in range(50)) >= 48


def test_the_ends() -> None:
    assert evidence(0, 0, 0.1) == 1.0
    assert evidence(0, 100, 0.0) == 1.0
    assert evidence(1, 100, 0.0) == math.inf
    assert evidence(100, 100, 1.0) == 1.0
    assert evidence(10_000_000, 10_000_000, 0.01) > 1e300
    assert evidence(0, 10_000_000, 0.01) < 1


def people(new: float, old: float, weight: float, seed: int) -> Call:
    """Worst call of a canary with these click rates: every person looks several times, with moods."""
    dice, ask = random.Random(seed), ClickThrough(max_drop=0.05)
    counts = {True: [0, 0], False: [0, 0]}
    for number in range(4000):
        mine = counts[dice.random() < weight]
        for _ in range(dice.randint(1, 3)):
            mine[0] += 1
            mine[1] += dice.random() < (new if mine is counts[True] else old)
        if number % 20 == 0:
            found = verdict.clicks(
                Figures(replies=counts[True][0], clicks=counts[True][1]),
                Figures(replies=counts[False][0], clicks=counts[False][1]),
                ask,
                ALPHA,
            )
            if found.call is Call.FAIL:
                return Call.FAIL
    return Call.GO


@pytest.mark.parametrize(("rate", "weight"), [(0.02, 0.05), (0.1, 0.5), (0.6, 0.25)])
def test_equal_click_rates_are_seldom_rolled_back(rate: float, weight: float) -> None:
    # At the bound itself: a drop of exactly what is put up with.
    alarms = sum(people(0.95 * rate, rate, weight, seed) is Call.FAIL for seed in range(60))
    assert alarms / 60 <= ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / 60)


def test_a_large_drop_is_rolled_back() -> None:
    assert sum(people(0.05, 0.1, 0.5, seed) is Call.FAIL for seed in range(20)) == 20


def test_a_lift_is_shown_or_not() -> None:
    ask = ClickThrough(min_lift=0.0)
    old = Figures(replies=10_000, clicks=1000)
    assert verdict.clicks(Figures(replies=10_000, clicks=1250), old, ask, ALPHA).call is Call.GO
    same = verdict.clicks(Figures(replies=10_000, clicks=1010), old, ask, ALPHA)
    assert (same.call, same.reason) == (Call.HOLD, "LiftNotShown")
    assert verdict.clicks(Figures(), Figures(), ask, ALPHA).call is Call.HOLD
