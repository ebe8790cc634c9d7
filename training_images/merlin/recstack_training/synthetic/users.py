"""Users: age, gender, a persona of three categories, and in each the cliques that they return to."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recstack_training.synthetic.catalog import Catalog, Ints, Strings

PERSONA = 3
AFFINITY = np.array([0.60, 0.25, 0.15])
"""Share of a user's events in each category of the persona."""
OWN_GENDER = 8.0
"""How much likelier a clique of the user's own gender is than one of the other."""


@dataclass(frozen=True)
class Users:
    """Users by position, arrays of length U; persona and clique are [U, 3]."""

    ids: Ints
    age: Ints
    gender: Strings
    persona: Ints
    clique: Ints
    activity: npt.NDArray[np.float64]
    device: Ints


def _choose(weights: npt.NDArray[np.float64], rng: np.random.Generator, size: int) -> Ints:
    cumulative = np.cumsum(weights)
    drawn: Ints = np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right").astype(
        np.int64
    )
    return drawn


def make(users: int, catalog: Catalog, rng: np.random.Generator) -> Users:
    """Draw ``users`` users; categories and cliques have Zipf-like popularities."""
    gender = rng.choice(np.array(["F", "M"]), size=users)
    categories = np.unique(catalog.category)
    liking = 1.0 / np.arange(1, len(categories) + 1) ** 0.5
    rng.shuffle(liking)
    # Gumbel top-3: weighted sampling without replacement for all users at once.
    noise = rng.gumbel(size=(users, len(categories))) + np.log(liking)
    persona = categories[np.argsort(-noise, axis=1)[:, np.arange(PERSONA) % len(categories)]]

    number = int(catalog.clique.max()) + 1
    first = np.zeros(number, dtype=np.int64)
    first[catalog.clique[::-1]] = np.arange(len(catalog.clique))[::-1]
    popularity = 1.0 / rng.permutation(np.arange(1, number + 1)) ** 0.4
    clique = np.empty((users, PERSONA), dtype=np.int64)
    for category in categories:
        own = np.flatnonzero(catalog.category[first] == category)
        for sex in ("F", "M"):
            match = catalog.gender[first[own]] == sex
            neutral = catalog.gender[first[own]] == "Any"
            weights = popularity[own] * np.where(match, OWN_GENDER, np.where(neutral, OWN_GENDER / 2, 1.0))
            for slot in range(PERSONA):
                rows = np.flatnonzero((persona[:, slot] == category) & (gender == sex))
                clique[rows, slot] = own[_choose(weights, rng, len(rows))]
    return Users(
        ids=np.arange(1, users + 1, dtype=np.int64),
        age=np.clip(rng.normal(38, 14, users), 16, 90).astype(np.int64),
        gender=gender,
        persona=persona,
        clique=clique,
        activity=rng.gamma(2.0, size=users),
        device=rng.choice(np.arange(3), size=users, p=[0.55, 0.35, 0.10]).astype(np.int64),
    )
