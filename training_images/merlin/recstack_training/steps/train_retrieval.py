"""Train the two towers, export the query tower, encode the catalog and build its index."""

import json
import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from recstack_triton_templates.stages.transforms import Array

from recstack_training import export, pretrained, schema
from recstack_training import index as indexes
from recstack_training.bundle import PARTS
from recstack_training.context import Context, Made
from recstack_training.dataset import load as load_rows
from recstack_training.dataset import rows
from recstack_training.dataset import sizes as sizes_of
from recstack_training.merlin_tf import dataset, load

TEMPERATURE = 0.1
"""Divides the cosine before the softmax: cosines of [-1, 1] alone cannot make a peaked distribution."""
PROJECTION = 8
"""Width that continuous features are projected to."""
METRIC_STEPS = 50
"""Training metrics every so many steps: computed at each they cost two thirds of the throughput."""


def _tower(mm: Any, columns: Any, recipe: Any) -> Any:
    """MLP over embeddings and projected numbers; unit length, so that inner product is cosine."""
    from merlin.schema import Tags

    branches = {}
    numbers = columns.select_by_tag(Tags.CONTINUOUS)
    if len(numbers):
        branches["continuous"] = mm.ContinuousProjection(
            numbers, mm.MLPBlock([PROJECTION], activation="linear")
        )
    vectors = pretrained.block(columns, None)
    if vectors is not None:
        branches["pretrained_embeddings"] = vectors
    embeddings = mm.Embeddings(columns.select_by_tag(Tags.CATEGORICAL), dim=recipe.embedding_dim)
    inputs = mm.InputBlockV2(columns, categorical=embeddings, **branches)
    return mm.Encoder(inputs, mm.MLPBlock(recipe.towers, no_activation_last_layer=True), post=mm.L2Norm())


def _column(values: Array) -> Array:
    """[N] as [N, 1]; vectors [N, D] as they are."""
    return values[:, None] if values.ndim == 1 else values


def _embed(tower: Any, tf: Any, features: dict[str, Array], batch: int = 8192) -> Array:
    """Embeddings [N, D] of encoded features [N]."""
    total = len(next(iter(features.values())))
    parts = [
        tower({k: tf.constant(_column(v[start : start + batch])) for k, v in features.items()}).numpy()
        for start in range(0, total, batch)
    ]
    vectors: Array = np.concatenate(parts).astype(np.float32)
    return vectors


def run(ctx: Context, folder: Path) -> Made:
    """Write ``query_tower.onnx``, ``item_embeddings.npy``, ``index.faiss`` and the weights."""
    tf, mm = load()
    from merlin.schema import Tags

    recipe, features = ctx.recipe.models.retrieval, ctx.recipe.features
    tf.keras.utils.set_random_seed(ctx.recipe.training.seed)
    sizes = sizes_of(ctx)
    columns = schema.build(ctx.recipe, sizes, target=False)
    data = load_rows(ctx, "train")
    frame = rows(ctx, data, context=False, seed=ctx.recipe.training.seed)
    query = _tower(mm, columns.select_by_tag(Tags.USER), recipe)
    candidate = _tower(mm, columns.select_by_tag(Tags.ITEM), recipe)
    model = mm.TwoTowerModelV2(query, candidate, logits_temperature=TEMPERATURE, schema=columns)
    model.compile(optimizer=tf.keras.optimizers.Adam(recipe.learning_rate), run_eagerly=False, metrics=[])
    batch = min(recipe.batch_size, len(frame))
    loader = mm.Loader(
        dataset(frame, schema=columns.excluding_by_tag(Tags.EMBEDDING)), batch_size=batch, shuffle=True,
        drop_last=True, seed_fn=lambda: ctx.recipe.training.seed,
    )  # fmt: skip
    vectors = pretrained.tables(ctx)
    if vectors:
        key = schema.id_feature(features.item, ctx.recipe.data.tables.items.id)
        loader = loader.map(pretrained.Join(key, data.items[key], vectors, features.embeddings))
    history = model.fit(loader, epochs=recipe.epochs, train_metrics_steps=METRIC_STEPS, verbose=2)
    loss = float(history.history["loss"][-1])
    if not math.isfinite(loss):
        raise RuntimeError(f"the two-tower's loss is {loss}")

    parts = folder / PARTS
    parts.mkdir()
    model.save_weights(str(folder / "weights" / "two_tower"))
    user_inputs = {f.name: sizes[f.name] for f in features.user}
    export.to_onnx(model.query_encoder, user_inputs, False, "embedding", parts / "query_tower.onnx")
    sample = {name: data.users[name][:64] for name in user_inputs}
    export.assert_equal(parts / "query_tower.onnx", sample, _embed(model.query_encoder, tf, sample), False)
    items = {f.name: data.items[f.name] for f in features.item} | vectors
    encoded = _embed(model.candidate_encoder, tf, items)
    np.save(parts / "item_embeddings.npy", encoded)
    tried = np.unique(data.user)[: indexes.TRIED]
    queries = _embed(model.query_encoder, tf, {name: data.users[name][tried] for name in user_inputs})
    built, chosen = indexes.fit(encoded, queries, recipe.index, ctx.recipe.training.seed)
    faiss.write_index(built, str(parts / "index.faiss"))
    (folder / indexes.INDEX).write_text(json.dumps(chosen.as_json(), sort_keys=True))
    return Made({"loss": loss, "rows": len(frame), "embeddingDim": encoded.shape[1]})
