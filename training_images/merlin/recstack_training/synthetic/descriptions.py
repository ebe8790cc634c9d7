"""What a shop says of invented products: as many words as tell products of a kind apart, no more."""

import numpy as np
import numpy.typing as npt

Strings = npt.NDArray[np.str_]
FOR = {"F": "women", "M": "men", "Any": "everyone"}
LEVELS = ("An affordable", "A fairly priced", "A well made", "A luxurious")
"""By quarter of the prices in a category."""
USES = (
    "Made for every day.", "A gift that is remembered.", "Good for small spaces.", "Built to last for years.",
    "Loved for its simple lines.", "Easy to care for.", "A favourite of our buyers.", "Made by hand.",
)  # fmt: skip


def describe(
    titles: Strings,
    categories: Strings,
    styles: Strings,
    genders: Strings,
    *,
    price: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """A description of each product, all arrays [I]."""
    level = np.zeros(len(titles), np.int64)
    for category in np.unique(categories):
        rows = np.flatnonzero(categories == category)
        level[rows] = np.argsort(np.argsort(price[rows], kind="stable")) * len(LEVELS) // len(rows)
    uses = rng.integers(len(USES), size=len(titles))
    return tuple(
        f"{title}. {LEVELS[level[row]]} {styles[row]} for {FOR.get(genders[row], 'everyone')}, "
        f"from our {categories[row]} department. {USES[uses[row]]}"
        for row, title in enumerate(titles)
    )
