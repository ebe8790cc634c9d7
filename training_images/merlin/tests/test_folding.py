"""Rankers of several schemas, exported: they give what Keras gives, and one row stands for a request's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recstack_crds.v1alpha1.embeddings import Embedding
from recstack_training import export, pretrained, schema
from recstack_training.merlin_tf import load
from recstack_training.steps.train_ranking import _embeddings
from recstack_triton_templates.stages.dlrm_ranking import REQUESTS, Ranker

CODES, NUMBERS = 7, 0
USER: dict[str, int] = {"user": CODES, "gender": CODES}
ITEM: dict[str, int] = {"item": CODES, "shelf": CODES}
SCHEMAS = {
    "numbers on both sides": (USER | {"age": NUMBERS, "hour": NUMBERS}, ITEM | {"price": NUMBERS}, 0),
    "numbers of the request": (USER | {"age": NUMBERS}, ITEM, 0),
    "numbers of items": (USER, ITEM | {"price": NUMBERS}, 0),
    "no numbers": (USER, ITEM, 0),
    "a vector for each item": (USER | {"age": NUMBERS}, ITEM | {"price": NUMBERS}, 5),
}
BIASED = list(SCHEMAS)[1:]
ROWS = 40


def ranker(user: dict[str, int], item: dict[str, int], width: int) -> Any:
    """Merlin's DLRM with random weights."""
    _, mm = load()
    from merlin.schema import ColumnSchema, Schema, Tags

    columns = []
    for name, size in (user | item).items():
        side = Tags.USER if name in user else Tags.ITEM
        if size:
            domain = {"domain": {"min": 0, "max": size - 1, "name": name}}
            tags = [Tags.CATEGORICAL, side]
            columns.append(ColumnSchema(name, dtype=np.int64, tags=tags, properties=domain))
        else:
            columns.append(ColumnSchema(name, dtype=np.float32, tags=[Tags.CONTINUOUS, side]))
    if width:
        look = {"name": "look", "from": {"text": {"column": "title"}}, "dim": width}
        columns += pretrained.columns([Embedding.model_validate(look)])
    columns.append(
        ColumnSchema(schema.TARGET, dtype=np.float32, tags=[Tags.TARGET, Tags.BINARY_CLASSIFICATION])
    )
    numbers = any(size == NUMBERS for size in (user | item).values())
    return mm.DLRMModel(
        Schema(columns),
        **_embeddings(mm, Schema(columns), 8),
        bottom_block=mm.MLPBlock([16, 8]) if numbers else None,
        top_block=mm.MLPBlock([12, 6]),
        prediction_tasks=mm.BinaryOutput(schema.TARGET),
    )


@pytest.mark.parametrize("case", SCHEMAS)
def test_the_graph_gives_what_the_model_gives(case: str, tmp_path: Path) -> None:
    user, item, width = SCHEMAS[case]
    tf, _ = load()
    tf.keras.utils.set_random_seed(3)
    model = ranker(user, item, width)
    random = np.random.default_rng(5)
    features = {
        name: random.integers(0, size, ROWS) if size else random.normal(size=ROWS).astype(np.float32)
        for name, size in (user | item).items()
    }
    vectors = {"look": random.normal(size=(ROWS, width)).astype(np.float32)} if width else {}
    path = tmp_path / "ranker.onnx"
    tensors = {name: tf.constant(value[:, None]) for name, value in features.items()}
    tensors |= {name: tf.constant(value) for name, value in vectors.items()}
    model(tensors)
    for weight in model.trainable_variables:  # biases begin as zeros, which exporters leave out
        weight.assign(
            random.normal(size=weight.shape) * (0.3 if case in BIASED or len(weight.shape) > 1 else 0)
        )
    expected = model(tensors).numpy()
    widths = {name: width for name in vectors}
    export.to_onnx(model, user | item, True, "score", path, vectors=widths, once=list(user))
    export.assert_equal(path, features | vectors, expected, True, list(user))

    opened = export.session(path)
    assert {one.name for one in opened.get_inputs() if one.shape[0] == REQUESTS} == set(user)
    one = {name: value[:1, None] if name in user else value[:, None] for name, value in features.items()}
    many = {name: np.repeat(value, ROWS, axis=0) if name in user else value for name, value in one.items()}
    scores = Ranker(path)(one | vectors, ROWS)
    assert np.ptp(scores) > 1e-3
    same = model({name: tf.constant(value) for name, value in (many | vectors).items()}).numpy()
    np.testing.assert_allclose(scores, same[:, 0], atol=1e-5)


def test_a_graph_that_asks_for_a_row_each_gets_them(tmp_path: Path) -> None:
    """As graphs of packages of earlier releases do."""
    user, item, _ = SCHEMAS["no numbers"]
    model, path = ranker(user, item, 0), tmp_path / "ranker.onnx"
    codes = {name: np.arange(ROWS)[:, None] % CODES for name in user | item}
    tf, _ = load()
    model({name: tf.constant(value) for name, value in codes.items()})
    export.to_onnx(model, user | item, True, "score", path)
    assert REQUESTS not in {one.shape[0] for one in export.session(path).get_inputs()}
    one = {name: value[:1] if name in user else value for name, value in codes.items()}
    assert Ranker(path)(one, ROWS).shape == (ROWS,)
