"""Train DLRM on clicks and sampled negatives, export it; a fine-tune goes on from its parent's weights."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recstack_training import checkpoint, export, pretrained, schema
from recstack_training.bundle import PARTS
from recstack_training.context import Context, Made
from recstack_training.dataset import load as load_rows
from recstack_training.dataset import rows
from recstack_training.dataset import sizes as sizes_of
from recstack_training.merlin_tf import dataset, load
from recstack_training.parents import DLRM, Parent, pace

SAMPLE = 64
STEPS = 400
"""Least steps of a training, so that little data does not mean an untrained ranker: batches get smaller."""
SMALLEST_BATCH = 256


def batch_size(rows: int, most: int, epochs: int) -> int:
    """Positives a step: ``most``, or fewer so that all ``epochs`` together have ``STEPS`` steps."""
    return min(most, rows, max(SMALLEST_BATCH, rows * epochs // STEPS))


def negatives(loader: Any, columns: Any, number: int, seed: int) -> Any:
    """``loader`` with ``number`` negatives for each row: items of other rows of the batch, target 0.

    Given to ``fit(pre=...)`` the same block adds none.
    """
    from merlin.models.tf.transforms.negative_sampling import InBatchNegatives

    return loader.map(InBatchNegatives(columns, number, seed=seed, prep_features=True))


def _embeddings(mm: Any, columns: Any, dim: int) -> dict[str, Any]:
    """DLRM's categorical embeddings, and beside them, projected to their width, the pretrained ones."""
    from merlin.schema import Tags

    vectors = pretrained.block(columns, dim)
    if vectors is None:
        return {"embedding_dim": dim}
    learned = mm.Embeddings(columns.select_by_tag(Tags.CATEGORICAL).excluding_by_tag(Tags.TARGET), dim=dim)
    return {"embeddings": mm.ParallelBlock({"learned": learned, "pretrained": vectors}, is_input=True)}


def _batch(frame: pd.DataFrame, items: list[str]) -> pd.DataFrame:
    """Rows for the checkpoint: positives, and as many with the item of the row before them and target 0."""
    positive = checkpoint.batch(frame)
    negative = positive.copy()
    for name in items:
        negative[name] = np.roll(positive[name].to_numpy(), 1)
    negative[schema.TARGET] = np.float32(0)
    return pd.concat([positive, negative], ignore_index=True)


def run(ctx: Context, folder: Path) -> Made:
    """Write ``ranker.onnx`` and the weights."""
    tf, mm = load()
    from merlin.schema import Tags

    recipe, features, seed = ctx.recipe.models.ranking, ctx.recipe.features, ctx.recipe.training.seed
    tf.keras.utils.set_random_seed(seed)
    sizes = sizes_of(ctx)
    columns = schema.build(ctx.recipe, sizes, target=True)
    data = load_rows(ctx, "train")
    frame = rows(ctx, data, context=True, seed=seed + 1)
    frame[schema.TARGET] = np.float32(1)
    inputs = {f.name: sizes[f.name] for f in (*features.user, *features.item, *features.context)}
    numbers = any(size == 0 for size in inputs.values())
    model = mm.DLRMModel(
        columns,
        **_embeddings(mm, columns, recipe.embedding_dim),
        bottom_block=mm.MLPBlock(recipe.bottom) if numbers else None,
        top_block=mm.MLPBlock(recipe.top),
        prediction_tasks=mm.BinaryOutput(schema.TARGET),
    )
    logged = columns.excluding_by_tag(Tags.EMBEDDING)
    vectors, joined = schema.joining(ctx, data.items)
    parent = Parent.of(ctx)
    epochs, rate = pace(ctx, recipe)
    model.compile(
        optimizer=tf.keras.optimizers.Adam(rate),
        loss=tf.keras.losses.BinaryCrossentropy(),
        run_eagerly=False,
        metrics=[],
    )
    if parent is not None:
        checkpoint.restore(parent.part(DLRM), model, mm, logged, joined)
    batch = batch_size(len(frame), recipe.batch_size, epochs)
    positives = mm.Loader(dataset(frame, schema=logged), batch_size=batch, shuffle=True, seed_fn=lambda: seed)
    loader = joined(negatives(positives, logged, recipe.negatives, seed))
    history = model.fit(loader, epochs=epochs, train_metrics_steps=50, verbose=2)
    loss = float(history.history["loss"][-1])
    if not math.isfinite(loss):
        raise RuntimeError(f"the ranker's loss is {loss}")

    parts = folder / PARTS
    parts.mkdir()
    probe = _batch(frame, [f.name for f in features.item])
    checkpoint.save(parts / DLRM, model, mm, logged, joined, rows=probe)
    widths = {one.name: one.dim for one in features.embeddings}
    once = [f.name for f in (*features.user, *features.context)]
    export.to_onnx(model, inputs, True, "score", parts / "ranker.onnx", vectors=widths, once=once)
    sample = {name: frame[name].to_numpy()[:SAMPLE] for name in inputs}
    shown = {name: tf.constant(v[:, None]) for name, v in sample.items()}
    # Any rows do: what is compared is the network.
    some = {
        name: np.resize(table, (min(SAMPLE, len(frame)), table.shape[1])) for name, table in vectors.items()
    }
    expected = model(shown | {name: tf.constant(table) for name, table in some.items()}).numpy()
    export.assert_equal(parts / "ranker.onnx", sample | some, expected, True, once)
    return Made({"loss": loss, "rows": len(frame)})
