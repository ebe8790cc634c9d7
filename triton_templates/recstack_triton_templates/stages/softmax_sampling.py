"""Order of the reply: by score, or sampled by score without replacement."""

import numpy as np

from recstack_triton_templates.stages.transforms import Array


def top(scores: Array, count: int) -> Array:
    """Positions of the ``count`` highest ``scores`` [N]; equal ones keep their order, fewer if N is less."""
    return np.argsort(-scores, kind="stable")[:count]


def sample(scores: Array, count: int, temperature: float, random: np.random.Generator) -> Array:
    """Positions of a sample without replacement, drawn with weights exp(score / temperature).

    Efraimidis & Spirakis (2006, doi:10.1016/j.ipl.2005.11.003) take the largest u^(1/w), which are the
    smallest Exp(1)/w; in logarithms no temperature over- or underflows.

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
    return np.argsort(keys, kind="stable")[:count]
