"""Paired bootstrap over requests (Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 1_000
FEWEST = 30
"""Requests below which a percentile interval is too narrow to be believed."""
_CHUNK = 100


@dataclass(frozen=True)
class PerRequest:
    """A metric as sums over requests: the sum over terms of sum(sums) / sum(counts), less ``offset``.

    ``sums`` and ``counts`` [N, T]. A mean has one term, each request's value and 1 (or 0 where it has none).
    """

    sums: Floats
    counts: Floats
    offset: float = 0

    @property
    def requests(self) -> int:
        """Requests that have a part in it."""
        return int((self.counts.sum(axis=1) > 0).sum())

    def at(self, weights: Floats) -> Floats:
        """The metric [B] when the requests count ``weights`` [B, N] times; NaN where nothing is left."""
        above, under = weights @ self.sums, weights @ self.counts
        terms = np.divide(above, under, out=np.full(above.shape, np.nan), where=under > 0)
        out: Floats = terms.sum(axis=1) - self.offset
        return out

    def value(self) -> float:
        """The metric over all requests."""
        return float(self.at(np.ones((1, len(self.sums))))[0])

    def only(self, rows: npt.NDArray[np.bool_]) -> "PerRequest":
        """The same of some requests."""
        return PerRequest(self.sums[rows], self.counts[rows], self.offset)


def mean(values: Floats, there: npt.NDArray[np.bool_]) -> PerRequest:
    """The mean of ``values`` [N] over the requests that are ``there`` [N]."""
    return PerRequest(np.where(there, values, 0.0)[:, None], there.astype(np.float64)[:, None])


def compare(one: Floats, other: Floats, *, ratio: bool) -> Floats:
    """``one`` / ``other`` or ``one`` - ``other`` [B]; 0/0 is a ratio of 1."""
    if not ratio:
        return one - other
    over = np.where(one > 0, np.inf, 1.0)
    return np.divide(one, other, out=over, where=other > 0)


def lower_bound(
    candidate: PerRequest, live: PerRequest, *, ratio: bool, confidence: float, rng: np.random.Generator
) -> float:
    """One-sided lower percentile bound of candidate against live over the same resampled requests."""
    used = (candidate.counts.sum(axis=1) > 0) | (live.counts.sum(axis=1) > 0)
    candidate, live = candidate.only(used), live.only(used)
    size = len(candidate.sums)
    found = []
    for start in range(0, RESAMPLES, _CHUNK):
        count = min(_CHUNK, RESAMPLES - start)
        drawn = rng.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)
        found.append(compare(candidate.at(weights), live.at(weights), ratio=ratio))
    values = np.concatenate(found)
    # "lower" picks a resample: no interpolation between finite and infinite ratios.
    return float(np.quantile(values[~np.isnan(values)], 1 - confidence, method="lower"))
