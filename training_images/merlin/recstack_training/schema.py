"""The Merlin schema of the model inputs, from the declared features and the fitted vocabularies."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from recstack_crds.v1alpha1.features import Feature, Features, Op
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_triton_templates.stages.transforms import Array

from recstack_training import pretrained
from recstack_training.context import Context

TARGET = "click"


def _column(feature: Feature, size: int, tags: list[Any]) -> Any:
    from merlin.schema import ColumnSchema, Tags

    if size:
        return ColumnSchema(
            feature.name,
            dtype=np.int64,
            tags=[Tags.CATEGORICAL, *tags],
            properties={"domain": {"min": 0, "max": size - 1, "name": feature.name}},
        )
    return ColumnSchema(feature.name, dtype=np.float32, tags=[Tags.CONTINUOUS, *tags])


def id_feature(features: list[Feature], column: str) -> str:
    """Name of the feature that is the entity's own id (checked to be there at ingest)."""
    return next(f.name for f in features if f.column == column and f.ops[0].op is Op.CATEGORIFY)


def build(recipe: Recipe, sizes: Mapping[str, int], target: bool) -> Any:
    """Merlin schema: user, item and, with ``target``, context columns and the binary target;
    embeddings of the item among its columns.

    ``sizes`` has the number of codes of each feature, 0 for numbers.
    """
    from merlin.schema import ColumnSchema, Schema, Tags

    features: Features = recipe.features
    user = id_feature(features.user, recipe.data.tables.users.id)
    item = id_feature(features.item, recipe.data.tables.items.id)
    columns = [
        *(_column(f, sizes[f.name], [Tags.USER, *([Tags.USER_ID] if f.name == user else [])])
          for f in features.user),
        *(_column(f, sizes[f.name], [Tags.ITEM, *([Tags.ITEM_ID] if f.name == item else [])])
          for f in features.item),
    ]  # fmt: skip
    columns += pretrained.columns(features.embeddings)
    if target:
        columns += [_column(f, sizes[f.name], [Tags.CONTEXT]) for f in features.context]
        columns.append(ColumnSchema(TARGET, dtype=np.float32, tags=[Tags.TARGET, Tags.BINARY_CLASSIFICATION]))
    return Schema(columns)


def joining(ctx: Context, items: Mapping[str, Array]) -> tuple[dict[str, Array], Callable[[Any], Any]]:
    """The tables, and what maps a loader to one with the vectors of each row's item; without any to itself.

    ``items``: encoded features [I] by name.
    """
    vectors, features = pretrained.tables(ctx), ctx.recipe.features
    if not vectors:
        return vectors, lambda loader: loader
    key = id_feature(features.item, ctx.recipe.data.tables.items.id)
    join = pretrained.Join(key, items[key], vectors, features.embeddings)
    return vectors, lambda loader: loader.map(join)
