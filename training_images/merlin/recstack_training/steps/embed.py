"""Encode the texts and pictures of items, reduce the vectors: a table an embedding, by row of the catalog."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from recstack_crds.v1alpha1.embeddings import Embedding

from recstack_training import media, pca, pretrained
from recstack_training.bundle import PARTS
from recstack_training.context import Context, Made
from recstack_training.dataset import arrays
from recstack_training.encoders import checkpoint
from recstack_training.errors import BadInput
from recstack_training.media import Ints
from recstack_training.parents import Parent
from recstack_training.pca import Floats, Mask
from recstack_training.steps.ingest import root

LINEAGE = "encoders.json"
MOST_MISSING = 0.5
"""Share of items without text or picture above which rather the path or column is wrong than the data."""


def encode(ctx: Context, one: Embedding, found: Path, ids: Ints) -> tuple[Floats, Mask, int]:
    """Vectors [I, W] of items ``ids``, which of them are known [I], and how many pictures are unreadable."""
    source = root(ctx)
    vectors: Floats
    if one.source.text:
        from recstack_training.encoders.text import TextEncoder

        texts = media.texts(source, ctx.recipe, one.source.text, ids)
        known = np.array([text is not None for text in texts], np.bool_)
        _enough(one, known)
        encoder = TextEncoder(found)
        _narrow(one, encoder.width)
        vectors = np.zeros((len(ids), encoder.width), np.float32)
        vectors[known] = encoder([text for text in texts if text is not None])
        return vectors, known, 0
    from recstack_training.encoders.image import ImageEncoder

    assert one.source.image is not None  # checked at ingest
    paths = [media.picture(source, one.source.image, item) for item in ids.tolist()]
    there = np.array([path.is_file() for path in paths], np.bool_)
    _enough(one, there)
    pictures = ImageEncoder(found)
    _narrow(one, pictures.width)
    vectors = np.zeros((len(ids), pictures.width), np.float32)
    known = np.zeros(len(ids), np.bool_)
    vectors[there], known[there] = pictures(
        [path for path, is_there in zip(paths, there, strict=True) if is_there]
    )
    _enough(one, known)
    return vectors, known, int(there.sum() - known.sum())


def _enough(one: Embedding, known: Mask) -> None:
    if known.sum() >= 2 and (~known).mean() <= MOST_MISSING:
        return
    text, image = one.source.text, one.source.image
    what = f"text in {text.column}" if text else f"picture at {image.path}" if image else ""
    raise BadInput(
        "MissingMedia",
        f"features.embeddings {one.name}: {int(known.sum())} of {len(known)} items have a readable {what}, "
        "at least half must; correct the column or the path, or leave the embedding out.",
        column=text.column if text else None,
    )


def _narrow(one: Embedding, width: int) -> None:
    if one.dim > width:
        raise BadInput(
            "InvalidDim", f"features.embeddings {one.name}: dim {one.dim} is more than the encoder's {width}."
        )


def run(ctx: Context, folder: Path) -> Made:
    """Write ``embeddings/<name>.npy``, float32 [I, dim], and which weights made them.

    A fine-tune has its parent's catalog and item tower, so it takes its parent's vectors.
    """
    parts = folder / PARTS
    parent = Parent.of(ctx)
    if parent is not None:
        parent.take((f"{pretrained.TABLES}/",), parts)
        (folder / LINEAGE).write_text(json.dumps(parent.manifest["lineage"]["encoders"]))
        return Made({"embeddings.taken": len(ctx.recipe.features.embeddings)})
    (parts / pretrained.TABLES).mkdir(parents=True)
    ids = arrays(ctx.folder("features") / PARTS / "items.npz")["__id__"]
    metrics: dict[str, float] = {}
    lineage: list[dict[str, Any]] = []
    for one in ctx.recipe.features.embeddings:
        scratch = folder / "scratch"
        found = checkpoint.folder(ctx, one, scratch)
        vectors, known, unreadable = encode(ctx, one, found, ids)
        reduced = pca.reduce(vectors, known, one.dim)
        np.save(parts / pretrained.part(one.name), reduced.table)
        lineage.append({"embedding": one.name, "model": one.model, "sha256": checkpoint.digest(found)})
        shutil.rmtree(scratch, ignore_errors=True)
        metrics |= {
            f"embeddings.{one.name}.missing": float((~known).sum()),
            f"embeddings.{one.name}.unreadable": float(unreadable),
            f"embeddings.{one.name}.explainedVariance": reduced.explained,
        }
    (folder / LINEAGE).write_text(json.dumps(lineage))
    return Made({"items": len(ids), **metrics})
