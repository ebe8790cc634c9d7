"""Metrics against values worked out by hand and against slow definitions."""

import numpy as np
import pytest
from recstack_training.measures import auc, ndcg, recall
from recstack_training.steps.evaluate import list_metrics, popular


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
