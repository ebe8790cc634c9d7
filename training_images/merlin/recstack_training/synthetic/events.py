"""Events of one day, drawn at once for all users."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recstack_training.synthetic.catalog import Catalog, Ints
from recstack_training.synthetic.users import AFFINITY, PERSONA, Users, _choose

START = 1_704_067_200
"""2024-01-01T00:00:00Z, a Monday."""
DAY = 86_400
EVENTS = ("View", "AddToCart", "ViewCart", "StartCheckout", "Purchase")
EVENT_WEIGHTS = np.array([1, 0.08, 0.05, 0.02, 0.01])
HOURS = np.array(
    [
        [2, 1, 1, 1, 1, 2, 4, 6, 6, 4, 3, 3, 4, 4, 3, 3, 4, 6, 8, 10, 11, 10, 8, 5],  # mobile: evenings
        [1, 1, 1, 1, 1, 1, 2, 4, 7, 10, 10, 9, 7, 9, 10, 9, 8, 6, 4, 3, 3, 3, 2, 1],  # desktop: office hours
        [2, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 7, 10, 12, 12, 9, 4],  # tablet: sofa
    ],
    dtype=np.float64,
)
WEEKDAYS = np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.3, 1.25])
EXPLORE = 0.10
"""Share of events on any item of the category, instead of one of the user's clique."""


def per_day(interactions: int, days: int) -> Ints:
    """Events of each day, summing to ``interactions``; weekends are busier."""
    share = WEEKDAYS[np.arange(days) % 7]
    edges = np.floor(np.cumsum(share) / share.sum() * interactions + 0.5).astype(np.int64)
    counts: Ints = np.diff(edges, prepend=0)
    return counts


def _in_group(order: Ints, start: Ints, size: Ints, group: Ints, position: npt.NDArray[np.float64]) -> Ints:
    """The item at relative ``position`` in [0, 1) of each group; ``order`` lists items by group and price."""
    items: Ints = order[start[group] + (position * size[group]).astype(np.int64)]
    return items


def day_table(day: int, rows: int, users: Users, catalog: Catalog, rng: np.random.Generator) -> pa.Table:
    """``rows`` events of ``day`` (counted from 0), in order of time.

    Phones look at the cheaper half of a clique more often, desktops at the dearer: so the request's
    context carries information about the item.
    """
    user = _choose(users.activity, rng, rows)
    slot = _choose(AFFINITY, rng, rows) % PERSONA
    device = np.where(rng.random(rows) < 0.8, users.device[user], rng.integers(3, size=rows))
    exponent = np.array([1.8, 0.6, 1.0])[device]
    position = rng.random(rows) ** exponent

    by_clique = np.lexsort((catalog.price, catalog.clique)).astype(np.int64)
    clique_size = np.bincount(catalog.clique)
    clique_start = np.cumsum(clique_size) - clique_size
    item = _in_group(by_clique, clique_start, clique_size, users.clique[user, slot], position)

    explore = np.flatnonzero(rng.random(rows) < EXPLORE)
    by_category = np.lexsort((catalog.price, catalog.category)).astype(np.int64)
    category_size = np.bincount(catalog.category, minlength=len(catalog.categories))
    category_start = np.cumsum(category_size) - category_size
    category = users.persona[user, slot][explore]
    item[explore] = _in_group(by_category, category_start, category_size, category, rng.random(len(explore)))

    hour = np.empty(rows, dtype=np.int64)
    for kind in range(3):
        of_kind = np.flatnonzero(device == kind)
        hour[of_kind] = _choose(HOURS[kind], rng, len(of_kind))
    time = START + day * DAY + hour * 3600 + rng.integers(3600, size=rows)
    order = np.argsort(time, kind="stable")
    kinds = _choose(EVENT_WEIGHTS, rng, rows)
    return pa.table(
        {
            "user_id": users.ids[user][order],
            "item_id": catalog.ids[item][order],
            "timestamp": time[order],
            "device_type": device[order],
            "event_type": pa.DictionaryArray.from_arrays(
                pa.array(kinds[order], pa.int8()), pa.array(EVENTS)
            ).cast(pa.string()),
        }
    )
