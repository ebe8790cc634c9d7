"""Writes the generated tables, one day at a time; same parameters, same files."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from recstack_crds.v1alpha1.data import Synthetic

from recstack_training.synthetic import catalog as catalogs
from recstack_training.synthetic import pictures
from recstack_training.synthetic import users as people
from recstack_training.synthetic.events import day_table, per_day

GENERATOR = 2
"""Raised whenever the same parameters give other files."""


def digest(params: Synthetic) -> str:
    """16 hex digits that name the files of these parameters."""
    text = json.dumps({"generator": GENERATOR, **params.model_dump(mode="json")}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def generate(params: Synthetic, folder: Path, volume: Path, scratch: Path) -> None:
    """Write ``day_XX.parquet``, ``users.parquet``, ``items.parquet`` and ``item_descriptions.parquet``.

    With ``params.pictures`` also ``item_images/<item_id>.jpg``.

    Everything is written in ``scratch``, which must not exist and lie on the same file system, and then
    renamed: nothing half-made is visible. A folder that exists is left as it is. ``volume`` is where
    ``params.catalog`` is looked for.
    """
    if folder.exists():
        return
    base, user_rng = (np.random.default_rng([params.seed, stream]) for stream in (0, 1))
    catalog = (
        catalogs.from_products(volume / params.catalog.path, params.items)
        if params.catalog
        else catalogs.invented(params.items, base)
    )
    users = people.make(params.users, catalog, user_rng)
    scratch.mkdir(parents=True)
    pq.write_table(
        pa.table(
            {
                "item_id": catalog.ids,
                "title": catalog.titles.tolist(),
                "category_l1": np.array(catalog.categories)[catalog.category].tolist(),
                "category_l2": catalog.style.tolist(),
                "price": catalog.price,
                "item_gender": catalog.gender.tolist(),
            }
        ),
        scratch / "items.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "item_id": catalog.ids,
                "product_description": pa.array(catalog.descriptions, pa.string()),
            }
        ),
        scratch / "item_descriptions.parquet",
    )
    if params.pictures:
        pictures.draw(catalog, scratch)
    pq.write_table(
        pa.table({"user_id": users.ids, "age": users.age, "gender": users.gender.tolist()}),
        scratch / "users.parquet",
    )
    width = max(2, len(str(params.days - 1)))
    for day, rows in enumerate(per_day(params.interactions, params.days)):
        rng = np.random.default_rng([params.seed, 2, day])
        table = day_table(day, int(rows), users, catalog, rng)
        pq.write_table(table, scratch / f"day_{day:0{width}d}.parquet")
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(scratch, folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # Another version of the stack wrote the same files meanwhile.
        shutil.rmtree(scratch)
