"""Metrics against values worked out by hand and against slow definitions."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from recstack_training.dataset import Encoded
from recstack_training.heldout import HeldOut, Measured
from recstack_training.measures import auc, below, bins, calibration_error, ndcg, recall, self_information
from recstack_training.population import VALUES, Slice, chosen
from recstack_training.steps.evaluate import list_metrics, popular
from recstack_triton_templates.stages.transforms import Array


def test_recall_is_the_share_of_relevant_items_found() -> None:
    hits = np.array([[True, False, True], [False, False, False]])
    assert recall(hits, np.array([4, 1])).tolist() == [0.5, 0.0]


def test_ndcg_by_hand() -> None:
    hits = np.array([[False, True, False]])
    assert ndcg(hits, np.array([1]))[0] == pytest.approx(1 / np.log2(3))
    assert ndcg(hits, np.array([5]))[0] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3) + 0.5))
    assert ndcg(np.array([[True, True, True]]), np.array([9]))[0] == pytest.approx(1)


def test_auc_is_the_share_of_pairs_in_order_ties_half() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(8, size=300) / 8 + 0.1, rng.integers(8, size=900) / 8
    positive[:40] = 0.5
    difference = positive[:, None] - negative
    expected = ((difference > 0) + (difference == 0) / 2).mean()
    assert auc(positive.astype(np.float32), negative.astype(np.float32)) == pytest.approx(expected)


def test_popularity_breaks_ties_by_row() -> None:
    assert popular(np.array([2, 2, 0, 3, 3, 1]), 5).tolist() == [2, 3, 0, 1, 4]


def test_list_metrics_equal_sets_and_loops() -> None:
    rng = np.random.default_rng(1)
    items, users = 40, np.arange(0, 20, 2)
    rows = np.array([rng.permutation(items)[:30] for _ in users])
    pairs = np.unique(rng.integers(20, size=200) * items + rng.integers(items, size=200))
    taken = np.unique(rng.integers(20, size=200) * items + rng.integers(items, size=200))
    for gone in (None, taken):
        shares = []
        for user, row in zip(users, rows, strict=True):
            seen = set() if gone is None else {p % items for p in gone if p // items == user}
            wanted = {p % items for p in pairs if p // items == user} - seen
            top = [item for item in row if item not in seen][:10]
            if wanted:
                shares.append(len(wanted & set(top)) / len(wanted))
        got = list_metrics(rows, users, pairs, items, gone)
        assert got["requests"] == len(shares)
        assert got["recall@10"] == pytest.approx(np.mean(shares))


def test_nobody_with_something_new_gives_no_metric() -> None:
    pairs = np.array([3])
    assert list_metrics(np.array([[3, 4]]), np.array([0]), pairs, 10, pairs) == {"requests": 0}


def test_self_information_by_hand() -> None:
    """Shares 5/8, 2/8, 1/8 after one is added to each; an item outside of the catalog has 1/8 too."""
    assert self_information(np.array([4, 1, 0])).tolist() == pytest.approx([-np.log2(5 / 8), 2.0, 3.0, 3.0])


def test_calibration_error_by_hand() -> None:
    """Two of ten bins are wrong by 1 and 0.5."""
    probability = np.arange(10) / 10
    assert calibration_error(probability, probability) == pytest.approx(0)
    outcome = probability.copy()
    outcome[0], outcome[5] = 1, 1
    assert calibration_error(probability, outcome) == pytest.approx((1 + 0.5) / 10)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_bins_lose_nothing(pairs: list[tuple[float, bool]]) -> None:
    probability, outcome = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    table = bins(probability, outcome)
    assert table[:, 2].sum() == pytest.approx(1)
    assert table[:, 0] @ table[:, 2] == pytest.approx(probability.mean())
    assert table[:, 1] @ table[:, 2] == pytest.approx(outcome.mean())
    assert abs(probability.mean() - outcome.mean()) - 1e-9 <= calibration_error(probability, outcome) <= 1


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 5), min_size=1, max_size=30)
)
def test_components_of_both_sides_have_one_mean(positive: list[int], negative: list[int]) -> None:
    one, other = (np.array(values, dtype=np.float32) for values in (positive, negative))
    assert below(one, other).mean() == pytest.approx((1 - below(other, one)).mean()) == auc(one, other)


def small() -> Measured:
    """Three users, four items; user 2 and item 3 are new; trained on items 0, 0, 1, 2."""
    none: dict[str, Array] = {}
    log = Encoded(np.arange(3), none, none, none, np.array([0, 0, 1, 2]), np.array([0, 3, 1, 3]),
                  np.arange(4), none)  # fmt: skip
    train = Encoded(np.arange(3), none, none, none, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]),
                    np.arange(4), none)  # fmt: skip
    world = HeldOut.of(log, train, np.arange(4), 1, 0)
    return Measured(world, np.array([[0, 1, 2], [2, 1, 0], [1, 3, -1]]), None)


ALL, NEW_USERS = Slice("all"), Slice("newUsers", users=np.array([False, False, True]))
NEW_ITEMS = Slice("newItems", items=np.array([False, False, False, True]))


@pytest.mark.parametrize(
    ("metric", "of", "expected"),
    [
        ("recall@1", ALL, (1 / 2 + 0 + 0) / 3),
        ("recall@2", ALL, (1 / 2 + 1 + 1) / 3),
        ("recall@2", NEW_USERS, 1),
        ("recall@2", NEW_ITEMS, (0 + 1) / 2),
        ("ndcg@2", NEW_USERS, 1 / np.log2(3)),
        ("coverage@1", ALL, 3 / 4),
        ("coverage@3", NEW_USERS, 2 / 4),
        ("coverage@1", NEW_ITEMS, 0),
        ("coverage@2", NEW_ITEMS, 1),
        ("novelty@1", NEW_USERS, 2),
        ("novelty@2", NEW_USERS, (2 + 3) / 2),
        ("novelty@2", NEW_ITEMS, None),
        ("recall@2", Slice("nobody", users=np.zeros(3, bool)), None),
    ],
)
def test_by_k_and_by_slice_by_hand(metric: str, of: Slice, expected: float | None) -> None:
    assert small().value(metric, of) == (None if expected is None else pytest.approx(expected))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_longer_lists_find_and_cover_no_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = small()
    one = Measured(one.held_out, np.array([rng.permutation(4) for _ in range(3)]), None)
    for name in ("recall", "coverage"):
        values = [one.value(f"{name}@{k}", ALL) for k in (1, 2, 3, 4)]
        assert values == sorted(values, key=lambda value: value or 0)
        assert values[-1] == 1


def test_values_of_a_segment() -> None:
    values = [str(n) for n in range(40)] + ["39", "rare"]
    kept = chosen(values, ["rare", "absent"])
    assert kept[0] == "39"
    assert kept[-1] == "rare"
    assert len(kept) == VALUES + 1
