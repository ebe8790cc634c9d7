"""The catalog: made from word lists, or read from a Retail Demo Store ``products.yaml``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recstack_training.errors import BadInput
from recstack_training.synthetic.descriptions import describe
from recstack_training.synthetic.words import ADJECTIVES, CATEGORIES

CLIQUE = 5
"""Items that lead to one another: a product and about four others."""

Strings = npt.NDArray[np.str_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Catalog:
    """Items by position, all arrays of length N; ``category`` indexes ``categories``, ``clique`` is dense."""

    ids: Ints
    titles: Strings
    category: Ints
    categories: tuple[str, ...]
    style: Strings
    price: npt.NDArray[np.float64]
    gender: Strings
    clique: Ints
    descriptions: tuple[str | None, ...]


def _cliques(category: Ints, gender: Strings, price: npt.NDArray[np.float64]) -> Ints:
    """Cut each category, gender by gender and cheap before dear, in groups of at most ``CLIQUE``."""
    clique = np.empty(len(category), dtype=np.int64)
    next_clique = 0
    for key in np.unique(category):
        rows = np.flatnonzero(category == key)
        for affinity in np.unique(gender[rows]):
            group = rows[gender[rows] == affinity]
            # Strided, so that every clique spans the price range of its category.
            count = -(-len(group) // CLIQUE)
            by_price = group[np.argsort(price[group], kind="stable")]
            clique[by_price] = next_clique + np.arange(len(group)) % count
            next_clique += count
    return clique


def invented(items: int, rng: np.random.Generator) -> Catalog:
    """A catalog of ``items`` products with titles from word lists, log-normal prices, gender affinities."""
    names = tuple(CATEGORIES)
    category = np.arange(items, dtype=np.int64) % len(names)
    style = np.array([CATEGORIES[names[c]][(i // len(names)) % len(CATEGORIES[names[c]])]
                      for i, c in enumerate(category)])  # fmt: skip
    first, second = rng.integers(len(ADJECTIVES), size=(2, items))
    titles = np.array(
        [f"{ADJECTIVES[a]} {ADJECTIVES[b]} {s}".title() for a, b, s in zip(first, second, style, strict=True)]
    )
    level = rng.uniform(2.2, 5.5, size=len(names))
    price = np.round(np.exp(rng.normal(level[category], 0.5)), 2)
    gender = rng.choice(np.array(["F", "M", "Any"]), size=items, p=[0.3, 0.3, 0.4])
    ids = np.arange(1, items + 1, dtype=np.int64)
    cliques = _cliques(category, gender, price)
    texts = describe(titles, np.array(names)[category], style, gender, price=price, rng=rng)
    return Catalog(ids, titles, category, names, style, price, gender, cliques, texts)


def from_products(path: Path, items: int) -> Catalog:
    """The first ``items`` products of a Retail Demo Store ``products.yaml``: name, description, price…"""
    import yaml

    if not path.exists():
        raise BadInput("MissingFile", f"The catalog {path} does not exist on the data volume.", path.name)
    try:
        loaded = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput("NotYaml", f"{path.name} cannot be read as YAML: {error}", path.name) from error
    if not isinstance(loaded, list) or not all(isinstance(product, dict) for product in loaded):
        raise BadInput("WrongType", f"{path.name}: expected a list of products.", path.name)
    if not loaded:
        raise BadInput("EmptyTable", f"{path.name} has no products.", path.name)
    products: list[dict[str, Any]] = loaded[:items]
    for field in ("name", "category", "style", "price"):
        if not all(field in product for product in products):
            raise BadInput("MissingColumn", f"{path.name}: a product has no {field}.", path.name, field)
    if not all(isinstance(product["price"], int | float) for product in products):
        raise BadInput("WrongType", f"{path.name}: a price is not a number.", path.name, "price")
    names = tuple(sorted({str(p["category"]) for p in products}))
    category = np.array([names.index(str(p["category"])) for p in products], dtype=np.int64)
    price = np.array([float(p["price"]) for p in products])
    gender = np.array([str(p.get("gender_affinity", "Any")) for p in products])
    return Catalog(
        ids=np.arange(1, len(products) + 1, dtype=np.int64),
        titles=np.array([str(p["name"]) for p in products]),
        category=category,
        categories=names,
        style=np.array([str(p["style"]) for p in products]),
        price=price,
        gender=gender,
        clique=_cliques(category, gender, price),
        descriptions=tuple(str(p["description"]) if p.get("description") else None for p in products),
    )
