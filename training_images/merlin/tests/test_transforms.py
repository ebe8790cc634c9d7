"""The compiled transforms equal the fitted NVTabular workflows: on any value, null, unseen, extreme."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recstack_crds.v1alpha1.features import Feature
from recstack_training import workflows
from recstack_training.bundle import PARTS
from recstack_training.context import Context
from recstack_training.dataset import arrays
from recstack_triton_templates.stages import transforms
from recstack_triton_templates.stages.transforms import Array

MANY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Pair:
    """A fitted workflow and what was compiled from it."""

    def __init__(self, folder: Path, kind: str, features: list[Feature]) -> None:
        root = folder / PARTS
        self.features = features
        self.workflow = workflows.load(root / "workflows" / kind)
        self.compiled = json.loads((root / "transforms.json").read_text())
        self.vocabularies = arrays(root / "vocab.npz")
        self.names = [f.name for f in features]
        self.columns = list(dict.fromkeys(f.column for f in features))

    def same(self, table: pd.DataFrame) -> None:
        expected = workflows.run(self.workflow, self.features, table)
        for name in self.names:
            transform = self.compiled[name]
            got = transforms.apply(transform, table[transform["column"]].to_numpy(), self.vocabularies)
            assert got.dtype == expected[name].dtype, name
            np.testing.assert_allclose(got, expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


def table_of(rows: list[tuple[Any, ...]], columns: list[str], known: dict[str, Any]) -> pd.DataFrame:
    """A frame of raw values, after one row of known ones: a frame that is null throughout has no type."""
    return pd.DataFrame([tuple(known[c] for c in columns), *rows], columns=columns)


def ints(low: int, high: int) -> st.SearchStrategy[int | None]:
    return st.one_of(st.integers(low, high), st.sampled_from([-1, 0, 2**31, -(2**40), 2**52]), st.none())


def floats() -> st.SearchStrategy[float | None]:
    return st.one_of(st.floats(-0.9, 1e6), st.sampled_from([0.0, 1e12]), st.none())


TEXT = st.one_of(
    st.sampled_from(["F", "M", "Any", "apparel", "books", "tools", "novel", "tea"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    st.none(),
)


@pytest.fixture(scope="session")
def pairs(retail: Context, film: Context) -> dict[str, Pair]:
    """Workflows of both runs."""
    features = retail.recipe.features
    return {
        "user": Pair(retail.folder("features"), "user", features.user),
        "item": Pair(retail.folder("features"), "item", features.item),
        "context": Pair(retail.folder("features"), "context", features.context),
        "film": Pair(film.folder("features"), "item", film.recipe.features.item),
    }


@MANY
@given(st.lists(st.tuples(ints(1, 310), TEXT, TEXT, ints(0, 120)), min_size=1, max_size=20))
def test_user(pairs: dict[str, Pair], rows: list[tuple[Any, ...]]) -> None:
    known = {"user_id": 5, "gender": "F", "top_category": "books", "age": 30}
    pairs["user"].same(table_of(rows, pairs["user"].columns, known))


@MANY
@given(st.lists(st.tuples(ints(1, 210), TEXT, TEXT, TEXT, floats()), min_size=1, max_size=20))
def test_item(pairs: dict[str, Pair], rows: list[tuple[Any, ...]]) -> None:
    known = {"item_id": 5, "category_l1": "books", "category_l2": "tea", "item_gender": "F", "price": 9.5}
    pairs["item"].same(table_of(rows, pairs["item"].columns, known))


@MANY
@given(st.lists(st.tuples(ints(0, 3), st.integers(-(2**33), 2**34)), min_size=1, max_size=20))
def test_context(pairs: dict[str, Pair], rows: list[tuple[Any, ...]]) -> None:
    pairs["context"].same(table_of(rows, ["device_type", "timestamp"], {"device_type": 1, "timestamp": 0}))


@MANY
@given(st.lists(st.tuples(ints(95, 165), TEXT, ints(1900, 2050)), min_size=1, max_size=20))
def test_film(pairs: dict[str, Pair], rows: list[tuple[Any, ...]]) -> None:
    pairs["film"].same(table_of(rows, pairs["film"].columns, {"film": 101, "genre": "drama", "year": 1999}))


@pytest.mark.parametrize("bound", [17, 18, 19, 24, 25, 64, 65, 66])
def test_buckets_at_their_bounds(pairs: dict[str, Pair], bound: int) -> None:
    known = {"user_id": 5, "gender": "F", "top_category": "books", "age": bound}
    pairs["user"].same(table_of([], pairs["user"].columns, known))


def test_what_training_saw_is_what_serving_makes(retail: Context) -> None:
    """Encoded users of the training equal the package's raw users sent through the compiled transforms."""
    from recstack_training.bundle import files
    from recstack_training.served import Bundle

    steps = ("features", "train-retrieval", "train-ranking")
    bundle = Bundle(files(retail, steps), retail.recipe)
    encoded = arrays(retail.folder("features") / "encoded_users.npz")
    for name, column in bundle.user(encoded.pop("__id__")).items():
        np.testing.assert_allclose(column, encoded[name], rtol=1e-6, atol=1e-6, err_msg=name)


def _code(pair: Pair, name: str, values: Array) -> list[int]:
    codes: list[int] = transforms.apply(pair.compiled[name], values, pair.vocabularies).tolist()
    return codes


def test_the_special_codes(pairs: dict[str, Pair]) -> None:
    assert _code(pairs["user"], "gender", np.array(["F", None, "?", ""], dtype=object))[1:] == [1, 2, 2]
    assert _code(pairs["user"], "user_id", np.array([-1, 10**9])) == [2, 2]
    assert _code(pairs["user"], "user_id", np.array([5]))[0] >= 3
