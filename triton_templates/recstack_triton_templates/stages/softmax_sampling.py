"""Order of the reply: by score or sampled by score without replacement, with or without a cap on values."""

from dataclasses import dataclass

import numpy as np

from recstack_triton_templates.stages.transforms import Array


def top(scores: Array, count: int) -> Array:
    """Positions of the ``count`` highest ``scores`` [N]; equal ones keep their order, fewer if N is less."""
    return np.argsort(-scores, kind="stable")[:count]


def sample(scores: Array, count: int, temperature: float, random: np.random.Generator) -> Array:
    """Positions of a sample without replacement, drawn with weights exp(score / temperature).

    Efraimidis & Spirakis (2006, doi:10.1016/j.ipl.2005.11.003) take the largest u^(1/w), which are the
    smallest Exp(1)/w; in logarithms no temperature over- or underflows into another order: where a
    temperature is so small that weights become infinite, the scores decide.

    Args:
        scores: float [N].
        count: how many; all when N is less.
        temperature: above 0; smaller follows the scores more closely.
        random: the same state gives the same sample.
    """
    if len(scores) == 0:
        return np.zeros(0, np.int64)
    with np.errstate(divide="ignore", over="ignore"):
        weights = (scores.astype(np.float64) - scores.max()) / temperature
        keys = np.log(random.standard_exponential(len(scores))) - weights
    order: Array = np.lexsort((-scores, keys))
    return order[:count]


def cap(order: Array, values: Array, most: int) -> Array:
    """``order`` [N], positions, without those whose value [N, by position] came ``most`` times before."""
    by_value = np.argsort(values[order], kind="stable")
    ordered = values[order][by_value]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(order)])
    runs = np.diff(np.concatenate((starts, [len(order)])))
    before = np.empty(len(order), np.int64)
    before[by_value] = np.arange(len(order)) - np.repeat(starts, runs)
    kept: Array = order[before < most]
    return kept


@dataclass(frozen=True)
class Ordering:
    """How a stack orders. ``most`` None: no cap; else most items of one value in a reply."""

    sampled: bool
    temperature: float
    most: int | None

    def __call__(self, scores: Array, count: int, seed: int | None, values: Array | None) -> Array:
        """Positions in order, ``count`` at most, of ``scores`` [N]; ``values`` [N] are what the cap counts.

        ``seed`` None: another sample each time.
        """
        everything = count if values is None or self.most is None else len(scores)
        if self.sampled:
            order = sample(scores, everything, self.temperature, np.random.default_rng(seed))
        else:
            order = top(scores, everything)
        if values is not None and self.most is not None:
            order = cap(order, values, self.most)
        return order[:count]
