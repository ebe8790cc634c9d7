"""A test of a share that may be looked at at any time.

A mixture sequential probability ratio test (Robbins 1970, doi:10.1214/aoms/1177696786; for experiments with
web traffic Johari et al. 2017, doi:10.1145/3097983.3097992): the likelihood of what was seen under a mixture
of greater shares, divided by that under the bound. While the share is not above it, the chance that this
ratio ever reaches 1/alpha is at most alpha (Ville's inequality), however often somebody looks.
"""

import math

_FINEST, _STEP = 1.05, 1.35
"""The mixture: shares of 1.05 times the bound, and on by this factor, and as many between it and 1."""


def evidence(successes: int, trials: int, bound: float) -> float:
    """How much ``successes`` of ``trials`` speak for a share above ``bound``: reject at 1/alpha.

    Infinite when nothing at or below the bound could have given it.
    """
    if bound >= 1 or not trials:
        return 1.0
    if bound <= 0:
        return math.inf if successes else 1.0
    logs = [
        successes * math.log(share / bound) + (trials - successes) * math.log((1 - share) / (1 - bound))
        for share in _mixture(bound)
    ]
    top = max(logs)
    total = top + math.log(sum(math.exp(one - top) for one in logs) / len(logs))
    return math.exp(min(total, 700.0))


def _mixture(bound: float) -> list[float]:
    """Shares above ``bound``, spaced by odds: close to it for small effects, far for large ones."""
    odds = bound / (1 - bound)
    shares, factor = [], _FINEST
    while factor < 100:
        shares.append(odds * factor / (1 + odds * factor))
        factor *= _STEP
    return shares
