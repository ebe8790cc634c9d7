"""Cold start: some training rows forget who the user is, so that the unknown has learned embeddings."""

import numpy as np
from recstack_crds.v1alpha1.features import Feature, Op
from recstack_triton_templates.stages.transforms import OUT_OF_VOCABULARY, Array


def masked(
    features: list[Feature], columns: dict[str, Array], share: float, rng: np.random.Generator
) -> dict[str, Array]:
    """Copy of ``columns`` [N] in which a random ``share`` of rows is out of vocabulary.

    In such a row every feature that is nothing but Categorify or HashBucket gets the code of the unknown;
    numbers and what is made of numbers stay.
    """
    if not columns:
        return {}
    out = dict(columns)
    rows = rng.random(len(next(iter(columns.values())))) < share
    for feature in features:
        if [operator.op for operator in feature.ops] in ([Op.CATEGORIFY], [Op.HASH_BUCKET]):
            column = out[feature.name].copy()
            column[rows] = OUT_OF_VOCABULARY
            out[feature.name] = column
    return out
