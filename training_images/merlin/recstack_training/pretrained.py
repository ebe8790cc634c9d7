"""Embeddings of pictures and texts as inputs of both models: joined to a batch, projected, never trained.

Merlin's own ``EmbeddingOperator`` looks rows up in Python, one by one, and before negatives are drawn; here a
batch that has its negatives gathers its rows at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from recstack_crds.v1alpha1.embeddings import Embedding
from recstack_triton_templates.stages.transforms import Array

from recstack_training.bundle import PARTS
from recstack_training.context import Context
from recstack_training.merlin_tf import load

TABLES = "embeddings"
"""Folder of the package with a table an embedding."""


def part(name: str) -> str:
    """An embedding's file in the package."""
    return f"{TABLES}/{name}.npy"


def tables(ctx: Context) -> dict[str, Array]:
    """Tables float32 [I, dim] by name, as ``embed`` left them."""
    root = ctx.folder("embed") / PARTS
    return {one.name: np.load(root / part(one.name)) for one in ctx.recipe.features.embeddings}


def columns(embeddings: Sequence[Embedding]) -> list[Any]:
    """Merlin's columns for them."""
    from merlin.schema import ColumnSchema, Tags

    return [
        ColumnSchema(one.name, dtype=np.float32, dims=(None, one.dim), tags=[Tags.EMBEDDING, Tags.ITEM])
        for one in embeddings
    ]


def block(schema: Any, dim: int | None) -> Any:
    """Merlin's block for those in ``schema``, if any, projected to ``dim``; None: as they are."""
    from merlin.schema import Tags

    _, mm = load()
    chosen = schema.select_by_tag(Tags.EMBEDDING)
    return mm.PretrainedEmbeddings(chosen, output_dims=dim, sequence_combiner=None) if len(chosen) else None


class Join:
    """A loader's transform: adds to each row the vectors of its item.

    ``codes`` [I] are the items' codes, by row of the tables; ``key`` is the feature that has them.
    """

    def __init__(
        self, key: str, codes: Array, by_name: Mapping[str, Array], embeddings: Sequence[Embedding]
    ) -> None:
        self._tf, _ = load()
        self._key, self._columns = key, columns(embeddings)
        self._tables = {}
        for name, table in by_name.items():
            by_code = np.zeros((int(codes.max()) + 1, table.shape[1]), np.float32)
            by_code[codes] = table
            self._tables[name] = self._tf.constant(by_code)

    def compute_output_schema(self, schema: Any) -> Any:
        """As Merlin asks."""
        from merlin.schema import Schema

        return Schema([*schema, *self._columns])

    def __call__(self, inputs: Mapping[str, Any], targets: Any = None) -> Any:
        """Features, or features and targets, as they come."""
        codes = self._tf.reshape(inputs[self._key], [-1])
        joined = {
            **inputs,
            **{name: self._tf.gather(table, codes) for name, table in self._tables.items()},
        }
        return joined if targets is None else (joined, targets)
