"""Ranking metrics in NumPy."""

import numpy as np
import numpy.typing as npt

K = 10

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def recall(hits: Bools, relevant: npt.NDArray[np.int64]) -> Floats:
    """Of each request [N]: the share of its ``relevant`` [N] items among the listed, ``hits`` [N, K]."""
    share: Floats = hits.sum(axis=1) / relevant
    return share


def ndcg(hits: Bools, relevant: npt.NDArray[np.int64]) -> Floats:
    """Of each request [N]: discounted gain with binary relevance over that of the best possible list."""
    gain = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    best = np.cumsum(gain)[np.minimum(relevant, hits.shape[1]) - 1]
    share: Floats = (hits @ gain) / best
    return share


def auc(positive: npt.NDArray[np.float32], negative: npt.NDArray[np.float32]) -> float:
    """Chance that a positive's score is above a negative's, ties half (Mann-Whitney)."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left").astype(np.float64)
    not_above = np.searchsorted(ordered, positive, side="right").astype(np.float64)
    return float((below + not_above).mean() / 2 / len(negative))
