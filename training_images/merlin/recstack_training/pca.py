"""Principal components of the items' vectors: fewer numbers, most of what tells items apart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
ROWS = 65_536
"""Rows whose covariance is added up at once, in float64."""


@dataclass(frozen=True)
class Reduced:
    """``table`` float32 [I, dim]; ``explained``: share of the variance that it keeps, 0 to 1."""

    table: Floats
    explained: float


def reduce(vectors: Floats, known: Mask, dim: int) -> Reduced:
    """The first ``dim`` principal components (Pearson 1901, doi:10.1080/14786440109462720).

    Centred on the mean of the known items, so that an item that is not known is the zero vector, the mean. N
    known items have at most N - 1 components; the columns after those are zero. A component's sign is such
    that its largest loading is positive: the same vectors give the same table.

    Args:
        vectors: [I, W].
        known: [I], at least one; the rows of others do not count.
        dim: at most W.
    """
    some = vectors[known]
    mean = some.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(some), ROWS):
        centred = some[start : start + ROWS] - mean
        covariance += centred.T @ centred
    values, axes = np.linalg.eigh(covariance)
    values, axes = values[::-1], axes[:, ::-1]
    there = min(dim, len(some) - 1)
    axes = axes[:, :there]
    axes = axes * np.sign(axes[np.argmax(np.abs(axes), axis=0), np.arange(there)])
    table = np.zeros((len(vectors), dim), np.float32)
    places = np.flatnonzero(known)
    for start in range(0, len(places), ROWS):
        rows = places[start : start + ROWS]
        table[rows, :there] = (vectors[rows] - mean) @ axes
    total = float(np.trace(covariance))
    return Reduced(table, float(values[:there].sum()) / total if total > 0 else 1.0)
