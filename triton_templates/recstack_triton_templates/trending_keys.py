"""Where in Valkey it is kept what many people look at now: names of the lists, for who counts and who reads.

A list is a sorted set: member = item id as decimal text, score = weight by forward decay (Cormode et al.
2009, doi:10.1109/ICDE.2009.65): an event of weight w at time t counts w * 2 ** ((t - landmark) / half-life).
All scores of a list share one landmark, so nothing is touched as time goes by, and their order is always that
of the decayed weights: whoever reads takes ``ZREVRANGE key 0 n-1`` and looks at no clock. Scores of two lists
do not compare. The counting side moves a list's landmark before scores get too large.
"""

from dataclasses import dataclass
from typing import Any

KEPT = 10_000
"""Members that a list keeps at least; one with twice as many loses the lightest."""
VALUE_CHARACTERS = 128
"""A longer value of a column has no list of its own."""


@dataclass(frozen=True)
class TrendingKeys:
    """Names of a stack's lists. ``scope``: the stack, as ``namespace/name``."""

    scope: str

    def everywhere(self) -> str:
        """All items."""
        return f"recstack:trending:{{{self.scope}}}:global"

    def among(self, column: str, value: Any) -> str:
        """Items whose raw ``column`` (of the item table, not the feature made of it) is ``value``."""
        return f"recstack:trending:{{{self.scope}}}:{column}={text(value)}"

    def landmarks(self) -> str:
        """Hash, by a list's key: "<landmark, seconds since 1970> <half-life, seconds>"."""
        return f"recstack:trending-landmarks:{{{self.scope}}}"


def text(value: Any) -> str:
    """A raw value as it stands in a name: the same for numpy's numbers and Python's, and for 3 and 3.0."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    return str(plain)
