"""Bloom filter, over-fetch, ordering, keys."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recstack_triton_templates.seen_keys import SLICES, SeenKeys
from recstack_triton_templates.stages.filter_seen_items import Bloom
from recstack_triton_templates.stages.softmax_sampling import Ordering, cap, sample, top


def _bitmap(bloom: Bloom, ids: list[int]) -> bytes:
    """As SETBIT would write it."""
    content = bytearray()
    for position in bloom.positions(np.array(ids, dtype=np.int64)).ravel().tolist():
        content.extend(bytes(max(0, position // 8 + 1 - len(content))))
        content[position // 8] |= 0x80 >> position % 8
    return bytes(content)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50), st.floats(0, 1))
@settings(max_examples=50)
def test_no_false_negative(ids: list[int], rate: float) -> None:
    bloom = Bloom(100, rate)
    assert bloom.member([_bitmap(bloom, ids)])(np.array(ids, dtype=np.int64)).all()


@pytest.mark.parametrize(("capacity", "rate"), [(1000, 0.01), (200, 0.001), (50, 0.1)])
def test_false_positives_are_as_declared(capacity: int, rate: float) -> None:
    bloom = Bloom(capacity, rate)
    seen = bloom.member([_bitmap(bloom, list(range(capacity)))])
    share = seen(np.arange(10**6, 10**6 + 100_000)).mean()
    assert share < 1.3 * rate + 0.0005


def test_any_of_several_bitmaps() -> None:
    bloom = Bloom(100, 0.001)
    seen = bloom.member([_bitmap(bloom, [1, 2]), _bitmap(bloom, [3])])
    assert seen(np.array([1, 2, 3, 4, 5])).tolist() == [True, True, True, False, False]
    assert seen(np.array([], dtype=np.int64)).tolist() == []


@given(
    st.integers(60, 10**6),
    st.integers(0, 4 * 10**9),
    st.floats(0, 1, exclude_max=True),
)
def test_an_item_counts_as_seen_for_the_ttl(ttl: int, seen_at: int, share: float) -> None:
    keys = SeenKeys("shop/retail", 100, 0.01, ttl)
    part = keys.slice_of(seen_at)
    key = keys.bitmap(7, part)
    half = math.floor(share * keys.slice_seconds * (SLICES - 1))
    assert key in keys.bitmaps(7, seen_at + half)
    assert keys.expiry(part) > seen_at + half
    assert key not in keys.bitmaps(7, keys.expiry(part))
    assert keys.expiry(part) <= seen_at + 1.5 * ttl + 1


def test_keys_differ_by_stack_user_and_shape() -> None:
    base = SeenKeys("a/b", 100, 0.01, 100)
    others = [
        SeenKeys("a/c", 100, 0.01, 100),
        SeenKeys("a/b", 101, 0.01, 100),
        SeenKeys("a/b", 100, 0.1, 100),
    ]
    assert len({keys.bitmap(1, 2) for keys in (base, *others)} | {base.bitmap(2, 2)}) == 5


def test_top_keeps_the_order_of_equals() -> None:
    assert top(np.array([0.5, 0.9, 0.5, 0.9]), 3).tolist() == [1, 3, 0]
    assert top(np.array([]), 3).tolist() == []


@given(
    st.lists(st.floats(0, 1, width=32), max_size=30),
    st.integers(0, 40),
    st.floats(1e-300, 1e300),
)
def test_a_sample_is_a_subset_at_any_temperature(scores: list[float], count: int, temperature: float) -> None:
    picked = sample(np.array(scores, np.float32), count, temperature, np.random.default_rng(1))
    assert len(set(picked.tolist())) == len(picked) == min(count, len(scores))


def _plackett_luce(weights: list[float], count: int) -> dict[tuple[int, ...], float]:
    """Probability of every ordered sample of ``count`` positions, one drawn after the other by weight."""
    chances = {}
    for order in itertools.permutations(range(len(weights)), count):
        chance, left = 1.0, sum(weights)
        for place in order:
            chance *= weights[place] / left
            left -= weights[place]
        chances[order] = chance
    return chances


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_samples_follow_the_theory(temperature: float, count: int) -> None:
    """Chi-square of whole ordered samples against the probabilities of drawing without replacement."""
    scores, draws = np.array([0.1, 0.2, 0.25, 0.4]), 8_000
    random = np.random.default_rng(5)
    found = Counter(tuple(sample(scores, count, temperature, random).tolist()) for _ in range(draws))
    chances = _plackett_luce(np.exp(scores / temperature).tolist(), count)
    # Rare orders are one class, as the test needs five or so of each.
    rare = {order for order, chance in chances.items() if chance * draws < 5}
    classes = [[order] for order in chances if order not in rare] + ([list(rare)] if rare else [])
    observed = np.array([sum(found[order] for order in one) for one in classes])
    expected = np.array([draws * sum(chances[order] for order in one) for one in classes])
    statistic = float(((observed - expected) ** 2 / np.maximum(expected, 1)).sum())
    freedom = len(classes) - 1
    # Wilson & Hilferty (1931): the 99.99 % point of chi-square from that of the normal distribution, 3.719.
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 3.719 * math.sqrt(2 / (9 * freedom))) ** 3


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-30, 1e-9])
def test_the_coldest_sample_is_the_top(temperature: float) -> None:
    scores = np.random.default_rng(1).permutation(np.linspace(0, 1, 50)).astype(np.float32)
    picked = sample(scores, 50, temperature, np.random.default_rng(0))
    assert picked.tolist() == top(scores, 50).tolist()


@pytest.mark.parametrize("temperature", [1e30, 1e300, 1.7e308])
def test_the_hottest_sample_does_not_look_at_scores(temperature: float) -> None:
    random, firsts = np.random.default_rng(3), np.zeros(4)
    for _ in range(8_000):
        firsts[sample(np.array([0.0, 0.1, 0.5, 1.0], np.float32), 1, temperature, random)[0]] += 1
    assert ((firsts - 2_000) ** 2 / 2_000).sum() < 21.1  # 99.99 % for 3 degrees of freedom


def test_equal_scores_are_equally_likely() -> None:
    random, firsts = np.random.default_rng(3), np.zeros(4)
    for _ in range(8_000):
        firsts[sample(np.full(4, 0.7, np.float32), 1, 0.05, random)[0]] += 1
    assert ((firsts - 2_000) ** 2 / 2_000).sum() < 21.1


VALUES = st.lists(st.integers(0, 4), max_size=30)


@given(VALUES, st.integers(1, 5), st.integers(0, 2**32))
def test_a_cap_keeps_the_first_of_each_value(values: list[int], most: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(values))
    expected, counts = [], Counter[int]()
    for position in order.tolist():
        if counts[values[position]] < most:
            counts[values[position]] += 1
            expected.append(position)
    assert cap(order, np.array(values, np.int64), most).tolist() == expected


@given(VALUES, st.integers(1, 5), st.integers(0, 40), st.booleans())
def test_an_ordering_fills_up_from_other_values(
    values: list[int], most: int, count: int, sampled: bool
) -> None:
    scores = np.linspace(1, 0, len(values)).astype(np.float32)
    order = Ordering(sampled, 0.1, most)(scores, count, 7, np.array(values, np.int64))
    possible = sum(min(most, times) for times in Counter(values).values())
    assert len(order) == min(count, possible)
    again = Ordering(sampled, 0.1, most)(scores, count, 7, np.array(values, np.int64))
    assert order.tolist() == again.tolist()


def test_a_cap_counts_numbers_too() -> None:
    values = np.array([0.5, 0.5, 0.25, 0.5], np.float32)
    assert Ordering(False, 1.0, 1)(np.array([4.0, 3.0, 2.0, 1.0]), 4, None, values).tolist() == [0, 2]


def test_a_cold_sample_is_the_top() -> None:
    scores = np.array([0.3, 0.9, 0.1])
    assert sample(scores, 3, 1e-9, np.random.default_rng(0)).tolist() == [1, 0, 2]
