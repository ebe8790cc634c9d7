"""The texts and pictures of items that embeddings are made from: checked at ingest, read by ``embed``."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from recstack_crds.v1alpha1.embeddings import Embedding, Image, Text
from recstack_crds.v1alpha1.modelversion import Recipe

from recstack_training import tables
from recstack_training.errors import BadInput

Ints = npt.NDArray[np.int64]
ID = "{id}"


def patterns(recipe: Recipe) -> tuple[str, ...]:
    """Globs of the files in the data source that embeddings are made from, besides the tables."""
    found = []
    for one in recipe.features.embeddings:
        if one.source.image:
            found.append(one.source.image.path.replace(ID, "*"))
        elif one.source.text and one.source.text.path:
            found.append(one.source.text.path)
    return tuple(dict.fromkeys(found))


def check(root: Path, recipe: Recipe) -> list[dict[str, Any]]:
    """Check all of them; the lineage of those that are no tables.

    Pictures have one entry, a digest of their ids and digests: they are looked at by ``embed``.
    """
    lineage = {}
    for one in recipe.features.embeddings:
        check_one(one)
        if one.source.text:
            path, id_column = place(root, recipe, one.source.text)
            rows = tables.check_text(path, id_column, one.source.text.column)
            if one.source.text.path:
                lineage[one.source.text.path] = (tables.sha256(path), rows)
        elif one.source.image:
            lineage[one.source.image.path] = _pictures(root, recipe, one.source.image)
    return [{"file": file, "sha256": sha256, "rows": rows} for file, (sha256, rows) in lineage.items()]


def check_one(one: Embedding) -> None:
    """What only the API server refuses: a recipe may come from elsewhere."""
    if one.source.image and ".." in one.source.image.path:
        raise BadInput("InvalidRecipe", f"{one.name}: its pictures must lie in the data source, without ..")
    if one.name.startswith("__"):
        raise BadInput("InvalidName", f"{one.name}: names that begin with __ are taken.")
    if (one.source.text is None) == (one.source.image is None):
        raise BadInput("InvalidRecipe", f"{one.name}: an embedding is from exactly one of text and image.")


def place(root: Path, recipe: Recipe, text: Text) -> tuple[Path, str]:
    """The table with a text, and its column of the item's id."""
    items = recipe.data.tables.items
    return (root / text.path, text.id or items.id) if text.path else (root / items.path, items.id)


def texts(root: Path, recipe: Recipe, text: Text, ids: Ints) -> list[str | None]:
    """The text of each of ``ids`` [I]; None where there is none, or nothing but white space."""
    path, id_column = place(root, recipe, text)
    table = pq.read_table(path, columns=[id_column, text.column])
    found = dict(zip(table[id_column].to_pylist(), table[text.column].to_pylist(), strict=True))
    every = (found.get(one) for one in ids.tolist())
    return [one if one and one.strip() else None for one in every]


def picture(root: Path, image: Image, item: int) -> Path:
    """Where the picture of an item is, if there is one."""
    return root / image.path.replace(ID, str(item))


def _ids(root: Path, recipe: Recipe) -> Iterator[int]:
    items = recipe.data.tables.items
    column: pa.ChunkedArray = pq.read_table(root / items.path, columns=[items.id])[items.id]
    yield from sorted(column.to_pylist())


def _pictures(root: Path, recipe: Recipe, image: Image) -> tuple[str, int]:
    digest, count = hashlib.sha256(), 0
    for item in _ids(root, recipe):
        path = picture(root, image, item)
        if path.is_file():
            digest.update(f"{item} {tables.sha256(path)}\n".encode())
            count += 1
    if count == 0:
        raise BadInput(
            "MissingFile",
            f"No item has a picture at {image.path}, with its id in place of {ID}: check the path.",
            image.path,
        )
    return digest.hexdigest(), count
