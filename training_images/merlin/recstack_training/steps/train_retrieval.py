"""Train the two towers, export the query tower, encode the catalog and build its index.

A fine-tune trains the query tower alone, from its parent's checkpoint. That the item tower stayed what it was
is proven, not believed: its weights and the embeddings of the whole catalog are the same to the bit after the
training as before. So the parent's embeddings and index are taken over byte for byte.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from recstack_triton_templates.stages.transforms import Array

from recstack_training import checkpoint, export, pretrained, schema
from recstack_training import index as indexes
from recstack_training.bundle import PARTS
from recstack_training.context import Context, Made
from recstack_training.dataset import load as load_rows
from recstack_training.dataset import rows
from recstack_training.dataset import sizes as sizes_of
from recstack_training.merlin_tf import dataset, load
from recstack_training.parents import TWO_TOWER, Parent, pace

TEMPERATURE = 0.1
"""Divides the cosine before the softmax: cosines of [-1, 1] alone cannot make a peaked distribution."""
PROJECTION = 8
"""Width that continuous features are projected to."""
METRIC_STEPS = 50
"""Training metrics every so many steps: computed at each they cost two thirds of the throughput."""

ITEM_PARTS = ("item_embeddings.npy", "index.faiss")
"""What a frozen item tower leaves valid."""
CLOSE = 1e-5
"""Embeddings of one checkpoint on two kinds of CPU differ by less."""


@dataclass(frozen=True)
class Frozen:
    """An item tower that must not move: its weights, and its embeddings [I, D] of the catalog."""

    weights: list[Array]
    vectors: Array

    @classmethod
    def of(cls, tower: Any, vectors: Array) -> "Frozen":
        """The tower as it is now."""
        return cls([weight.numpy() for weight in tower.weights], vectors)

    def check_origin(self, published: Array) -> None:
        """``RuntimeError`` unless this is the tower of the ``published`` embeddings [I, D]."""
        if published.shape != self.vectors.shape or np.abs(published - self.vectors).max() > CLOSE:
            raise RuntimeError("the checkpoint's item tower is not that of the package's embeddings")

    def check(self, tower: Any, vectors: Array) -> None:
        """``RuntimeError`` unless every bit is what it was."""
        now = Frozen.of(tower, vectors)
        same = all(
            one.tobytes() == other.tobytes() for one, other in zip(self.weights, now.weights, strict=True)
        )
        if not same or self.vectors.tobytes() != vectors.tobytes():
            raise RuntimeError("the item tower moved in a fine-tune: the index would not fit the query tower")


def compiled(model: Any, tf: Any, rate: float) -> None:
    """Compile with Adam. The loss is named: without its logits the same name in Keras means another."""
    from merlin.models.tf.losses import CategoricalCrossEntropy

    model.compile(
        optimizer=tf.keras.optimizers.Adam(rate),
        loss=CategoricalCrossEntropy(from_logits=True),
        run_eagerly=False,
        metrics=[],
    )


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


def model_of(mm: Any, columns: Any, recipe: Any) -> Any:
    """The two towers of a schema, neither compiled nor built."""
    from merlin.schema import Tags

    query = _tower(mm, columns.select_by_tag(Tags.USER), recipe)
    candidate = _tower(mm, columns.select_by_tag(Tags.ITEM), recipe)
    return mm.TwoTowerModelV2(query, candidate, logits_temperature=TEMPERATURE, schema=columns)


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
    logged = columns.excluding_by_tag(Tags.EMBEDDING)
    data = load_rows(ctx, "train")
    frame = rows(ctx, data, context=False, seed=ctx.recipe.training.seed)
    model = model_of(mm, columns, recipe)
    candidate = model.candidate_encoder
    parent = Parent.of(ctx)
    epochs, rate = pace(ctx, recipe)
    compiled(model, tf, rate)
    vectors, joined = schema.joining(ctx, data.items)
    catalog = {f.name: data.items[f.name] for f in features.item} | vectors
    frozen: Frozen | None = None
    if parent is not None:
        checkpoint.restore(parent.part(TWO_TOWER), model, mm, logged, joined)
        candidate.trainable = False
        compiled(model, tf, rate)  # what is trained is read when a model is compiled
        frozen = Frozen.of(candidate, _embed(candidate, tf, catalog))
        frozen.check_origin(np.load(parent.part("item_embeddings.npy")))
    loader = mm.Loader(
        dataset(frame, schema=logged), batch_size=min(recipe.batch_size, len(frame)), shuffle=True,
        drop_last=True, seed_fn=lambda: ctx.recipe.training.seed,
    )  # fmt: skip
    history = model.fit(joined(loader), epochs=epochs, train_metrics_steps=METRIC_STEPS, verbose=2)
    loss = float(history.history["loss"][-1])
    if not math.isfinite(loss):
        raise RuntimeError(f"the two-tower's loss is {loss}")

    parts = folder / PARTS
    parts.mkdir()
    candidate.trainable = True  # Keras lists frozen weights last: a checkpoint has one order
    checkpoint.save(parts / TWO_TOWER, model, mm, logged, joined, rows=checkpoint.batch(frame))
    user_inputs = {f.name: sizes[f.name] for f in features.user}
    export.to_onnx(model.query_encoder, user_inputs, False, "embedding", parts / "query_tower.onnx")
    sample = {name: data.users[name][:64] for name in user_inputs}
    export.assert_equal(parts / "query_tower.onnx", sample, _embed(model.query_encoder, tf, sample), False)
    encoded = _embed(candidate, tf, catalog)
    metrics = {"loss": loss, "rows": len(frame), "embeddingDim": encoded.shape[1]}
    if parent is not None and frozen is not None:
        frozen.check(candidate, encoded)
        parent.take(ITEM_PARTS, parts)
        about = parent.manifest["retrieval"]["index"]
        (folder / indexes.INDEX).write_text(json.dumps(about, sort_keys=True))
        return Made(metrics)
    np.save(parts / "item_embeddings.npy", encoded)
    tried = np.unique(data.user)[: indexes.TRIED]
    queries = _embed(model.query_encoder, tf, {name: data.users[name][tried] for name in user_inputs})
    built, chosen = indexes.fit(encoded, queries, recipe.index, ctx.recipe.training.seed)
    faiss.write_index(built, str(parts / "index.faiss"))
    (folder / indexes.INDEX).write_text(json.dumps(chosen.as_json(), sort_keys=True))
    return Made(metrics)
