"""Bloom filter, over-fetch, ordering, keys."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recstack_triton_templates.seen_keys import SLICES, SeenKeys
from recstack_triton_templates.stages.filter_seen_items import Bloom
from recstack_triton_templates.stages.softmax_sampling import sample, top


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
    key = keys.key(7, part)
    half = math.floor(share * keys.slice_seconds * (SLICES - 1))
    assert key in keys.readable(7, seen_at + half)
    assert keys.expiry(part) > seen_at + half
    assert key not in keys.readable(7, keys.expiry(part))
    assert keys.expiry(part) <= seen_at + 1.5 * ttl + 1


def test_keys_differ_by_stack_user_and_shape() -> None:
    base = SeenKeys("a/b", 100, 0.01, 100)
    others = [
        SeenKeys("a/c", 100, 0.01, 100),
        SeenKeys("a/b", 101, 0.01, 100),
        SeenKeys("a/b", 100, 0.1, 100),
    ]
    assert len({keys.key(1, 2) for keys in (base, *others)} | {base.key(2, 2)}) == 5


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


def test_first_draw_follows_the_weights() -> None:
    """Chi-square of the first item against softmax(score / temperature)."""
    scores, temperature, draws = np.array([0.1, 0.2, 0.3, 0.4]), 0.1, 20_000
    random = np.random.default_rng(5)
    counts = np.bincount([sample(scores, 1, temperature, random)[0] for _ in range(draws)], minlength=4)
    share = np.exp(scores / temperature)
    expected = draws * share / share.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 16.27  # 99.9 % for 3 degrees of freedom


def test_a_cold_sample_is_the_top() -> None:
    scores = np.array([0.3, 0.9, 0.1])
    assert sample(scores, 3, 1e-9, np.random.default_rng(0)).tolist() == [1, 0, 2]
