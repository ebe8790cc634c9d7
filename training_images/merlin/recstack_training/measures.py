"""Ranking metrics in NumPy."""

import numpy as np
import numpy.typing as npt

K = 10
BINS = 10
"""Bins of the calibration error."""

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def recall(hits: Bools, relevant: Ints) -> Floats:
    """Of each request [N]: the share of its ``relevant`` [N] items among the listed, ``hits`` [N, K]."""
    share: Floats = hits.sum(axis=1) / relevant
    return share


def ndcg(hits: Bools, relevant: Ints) -> Floats:
    """Of each request [N]: discounted gain with binary relevance over that of the best possible list."""
    gain = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    best = np.cumsum(gain)[np.minimum(relevant, hits.shape[1]) - 1]
    share: Floats = (hits @ gain) / best
    return share


def auc(positive: npt.NDArray[np.float32], negative: npt.NDArray[np.float32]) -> float:
    """Chance that a positive's score is above a negative's, ties half (Mann-Whitney)."""
    return float(below(positive, negative).mean())


def below(scores: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> Floats:
    """Of each of ``scores`` [N]: the share of ``others`` [M] below it, ties half.

    Of the positives against the negatives these are the structural components of the AUC, and one less
    those of the negatives against the positives the other ones (DeLong et al. 1988, Biometrics 44:837).
    """
    ordered = np.sort(others)
    under = np.searchsorted(ordered, scores, side="left").astype(np.float64)
    not_above = np.searchsorted(ordered, scores, side="right").astype(np.float64)
    share: Floats = (under + not_above) / 2 / len(others)
    return share


def self_information(events: Ints) -> Floats:
    """Bits that each item [I] tells by being listed: -log2 of its share of ``events`` [I], one added to each.

    One more value than items: that of an item outside of the catalog, at place -1. Zhou et al. 2010 (PNAS
    107:4511); its mean over lists is the novelty of Vargas & Castells 2011 (RecSys, 10.1145/2043932.2043955).
    """
    share = (np.append(events, 0) + 1) / (events.sum() + len(events))
    bits: Floats = -np.log2(share)
    return bits


def bins(probability: Floats, outcome: Floats) -> Floats:
    """Mean probability, mean outcome and weight [B, 3] of ``BINS`` bins of equal mass, by probability."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    table: Floats = np.array(
        [[probability[part].mean(), outcome[part].mean(), len(part) / len(order)] for part in parts]
    )
    return table


def calibration_error(probability: Floats, outcome: Floats) -> float:
    """Expected |mean probability - mean outcome| over bins (Guo et al. 2017, ICML, arXiv:1706.04599)."""
    table = bins(probability, outcome)
    return float(np.abs(table[:, 0] - table[:, 1]) @ table[:, 2])
