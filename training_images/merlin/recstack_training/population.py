"""Slices of the evaluation: whose users or which items a metric is taken over."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from recstack_crds.v1alpha1.data import Entities
from recstack_crds.v1alpha1.models import Evaluation

from recstack_training.dataset import Encoded
from recstack_training.measures import Bools, Ints
from recstack_training.tables import Found, segment_table

ALL, NEW_USERS, NEW_ITEMS = "all", "newUsers", "newItems"
VALUES = 16
"""Values of a segment that are measured: the most frequent of its table, and those that gates name."""
NULL = "null"


@dataclass(frozen=True)
class Slice:
    """Of users [U] or of items [I]; both None: everything."""

    name: str
    users: Bools | None = None
    items: Bools | None = None


def texts(path: Path, key: str, column: str, ids: Ints) -> list[str]:
    """Values of a raw column as texts, of the rows with ``ids``; ``null`` for nulls and missing rows."""
    columns = list(dict.fromkeys([key, column]))
    table = pq.read_table(path, columns=columns).to_pandas(integer_object_nulls=True)
    values = table[column].tolist() if column == key else table.set_index(key)[column].reindex(ids).tolist()
    return [NULL if pd.isna(value) else str(value) for value in values]


def chosen(values: Iterable[str], named: Iterable[str]) -> list[str]:
    """The most frequent ``VALUES`` of ``values``, ties by text, then those ``named`` that are among them."""
    count = Counter(values)
    ranked = sorted(count, key=lambda value: (-count[value], value))[:VALUES]
    return list(dict.fromkeys([*ranked, *(value for value in named if value in count)]))


def population(
    evaluation: Evaluation,
    found: Found,
    users: tuple[Entities, Ints],
    items: tuple[Entities, Ints],
    train: Encoded,
) -> list[Slice]:
    """All slices that are measured. ``train`` is the log of the training days, which makes others new.

    ``users`` and ``items``: the tables, and the ids that the version has, in order.
    """
    size = len(next(iter(train.items.values())))
    out = [
        Slice(ALL),
        Slice(NEW_USERS, users=np.bincount(train.user, minlength=len(train.user_ids)) == 0),
        Slice(NEW_ITEMS, items=np.bincount(train.item, minlength=size) == 0),
    ]
    for segment in evaluation.segments:
        path = segment_table(found, segment)
        of_users = path == found.users
        entity, ids = users if of_users else items
        values = np.array(texts(path, entity.id, segment.column, ids))
        named = [gate.slice.partition("=")[2] for gate in evaluation.gates
                 if gate.slice and gate.slice.partition("=")[0] == segment.name]  # fmt: skip
        for value in chosen(values.tolist(), named):
            mask = values == value
            name = f"{segment.name}={value}"
            out.append(Slice(name, users=mask) if of_users else Slice(name, items=mask))
    return out
