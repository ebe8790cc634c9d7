"""How far a day's features are from those that a version was trained on.

Population stability index (N. Siddiqi, Credit Risk Scorecards, 2006): sum over bins of (p - q) ln(p / q).
Bins of numbers are tenths of the training events, those of categories the most frequent codes and the rest.
By custom .1 is worth a look and .2 a change. Half a count is added to each bin: an empty one stays finite.

Ids are left out, they are no distribution; and so are weekdays: one day has one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from recstack_crds.v1alpha1.features import Feature, Op
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_triton_templates.stages.transforms import Array

from recstack_training.measures import Ints

PART = "training/histograms.json"
BINS = 10
CODES = 20
"""Categories with a bin of their own."""
WEEKDAY = frozenset({Op.WEEKDAY_SIN, Op.WEEKDAY_COS})


def watched(recipe: Recipe) -> dict[str, list[Feature]]:
    """Features whose drift means something, by ``user``, ``item``, ``context``."""
    ids = {recipe.data.tables.users.id, recipe.data.tables.items.id}
    features = recipe.features
    return {
        side: [f for f in chosen if f.column not in ids and not WEEKDAY & {o.op for o in f.ops}]
        for side, chosen in (("user", features.user), ("item", features.item), ("context", features.context))
    }


def of_events(
    recipe: Recipe,
    users: Mapping[str, Array],
    items: Mapping[str, Array],
    context: Mapping[str, Array],
    rows: tuple[Ints, Ints],
) -> dict[str, Array]:
    """Watched columns [N] of N events; ``users`` [U] and ``items`` [I] encoded, ``rows`` into both [N]."""
    sides = watched(recipe)
    found = {f.name: users[f.name][rows[0]] for f in sides["user"]}
    found |= {f.name: items[f.name][rows[1]] for f in sides["item"]}
    return found | {f.name: context[f.name] for f in sides["context"]}


def histograms(columns: Mapping[str, Array]) -> dict[str, Any]:
    """Bins and counts of each column [N]: ``edges`` of numbers, ``codes`` of categories."""
    out: dict[str, Any] = {}
    for name, values in columns.items():
        if values.dtype.kind == "f":
            inner = np.quantile(values, np.arange(1, BINS) / BINS)
            bins: dict[str, Any] = {"edges": np.unique(inner).astype(float).tolist()}
        else:
            codes, count = np.unique(values, return_counts=True)
            order = np.argsort(-count, kind="stable")[:CODES]
            bins = {"codes": np.sort(codes[order]).tolist()}
        out[name] = bins | {"counts": counts(bins, values).tolist()}
    return out


def counts(bins: Mapping[str, Any], values: Array) -> Ints:
    """Values [N] by bin."""
    if "edges" in bins:
        place = np.searchsorted(np.array(bins["edges"]), values, side="right")
        return np.bincount(place, minlength=len(bins["edges"]) + 1)
    codes = np.array(bins["codes"])
    if not len(codes):
        return np.array([len(values)])
    place = np.minimum(np.searchsorted(codes, values), len(codes) - 1)
    place = np.where(codes[place] == values, place, len(codes))
    return np.bincount(place, minlength=len(codes) + 1)


def psi(expected: Ints, actual: Ints) -> float:
    """Index of two histograms [B] of the same bins; 0 when they are in proportion."""
    p, q = ((one + 0.5) / (one.sum() + 0.5 * len(one)) for one in (actual, expected))
    return float(((p - q) * np.log(p / q)).sum())


def indices(learned: Mapping[str, Any], columns: Mapping[str, Array]) -> dict[str, float]:
    """Index of each column [N] that has a histogram, the greatest first."""
    found = {
        name: psi(np.array(learned[name]["counts"]), counts(learned[name], values))
        for name, values in columns.items()
        if name in learned
    }
    return dict(sorted(found.items(), key=lambda one: -one[1]))
