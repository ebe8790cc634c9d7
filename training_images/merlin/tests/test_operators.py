"""Every declared operator, alone and in chains: compiled, or run by NVTabular beside that, it equals the
fitted workflow on any value."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recstack_crds.v1alpha1.features import Feature, Op
from recstack_training import columns, operators, workflows
from recstack_training.errors import BadInput
from recstack_training.merlin_tf import dataset, on_cpu
from recstack_triton_templates.stages import transforms
from recstack_triton_templates.stages.transforms import Array

MANY = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
FILL, BUCKETS = {"op": "FillMissing", "value": -3.5}, {"op": "Bucketize", "boundaries": [-5, 0, 2.5]}
CLIP = {"op": "Clip", "min": -4, "max": 60}
CUBE_ROOT = {"op": "LambdaOp", "function": "numpy:cbrt"}
LOG, NORMALIZE, MIN_MAX, CATEGORIFY = (
    {"op": name} for name in ("LogOp", "Normalize", "NormalizeMinMax", "Categorify")
)
CHAINS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "fill": ("number", [FILL]),
    "clip": ("number", [CLIP]),
    "clip_low": ("number", [{"op": "Clip", "min": 0}]),
    "clip_high": ("number", [{"op": "Clip", "max": 2.25}]),
    "min_max": ("number", [MIN_MAX]),
    "normal": ("number", [NORMALIZE]),
    "fill_normal": ("number", [FILL, NORMALIZE]),
    "fill_clip_min_max": ("number", [FILL, CLIP, MIN_MAX]),
    "clip_log_normal": ("number", [{"op": "Clip", "min": 0}, LOG, NORMALIZE]),
    "clip_log_min_max": ("number", [{"op": "Clip", "min": 0}, LOG, MIN_MAX]),
    "log_clip": ("positive", [LOG, {"op": "Clip", "max": 3}]),
    "buckets": ("number", [BUCKETS, CATEGORIFY]),
    "cube_root": ("number", [CUBE_ROOT]),
    "fill_cube_root_normal": ("number", [FILL, CUBE_ROOT, NORMALIZE]),
    "cube_root_buckets": ("number", [CUBE_ROOT, BUCKETS, CATEGORIFY]),
    "inverse": ("number", [{"op": "LambdaOp", "function": "numpy:reciprocal"}]),
    "fill_clip_buckets": ("number", [FILL, CLIP, BUCKETS, CATEGORIFY]),
    "whole": ("whole", [CATEGORIFY]),
    "word": ("word", [CATEGORIFY]),
    "whole_hash": ("whole", [{"op": "HashBucket", "numBuckets": 7}]),
    "word_hash": ("word", [{"op": "HashBucket", "numBuckets": 1000}]),
    **{op.value: ("time", [{"op": op.value}]) for op in Op if op.value.startswith(("Hour", "Weekday"))},
}
FEATURES = [Feature.model_validate({"name": n, "column": c, "ops": ops}) for n, (c, ops) in CHAINS.items()]
TRAINED = pd.DataFrame(
    {
        "number": [1.5, -7, None, 0, 99.5, 2.5, 0.1],
        "positive": [1.5, 7, None, 0, 99.5, 2.5, 0.1],
        "whole": np.array([1, 5, None, 2**40, -9, 0, 5], dtype=object),
        "word": ["tea", None, "Tea", "", "naïve 茶", "tea", "oil"],
        "time": [0, 3_599, 3_600, 86_399, 1_704_067_200, 604_800, 9_999_999_999],
    }
)


class Fitted:
    """A workflow and all of it compiled."""

    def __init__(self, folder: Path, features: list[Feature], table: pd.DataFrame) -> None:
        numbers = [f.column for f in features if workflows.takes_number(f)]
        means = {name: float(table[name].astype(float).mean()) for name in numbers}
        self.features, self.vocabularies = features, dict[str, Array]()
        workflow = workflows.fit(features, table, means, folder / "scratch")
        workflows.save(workflow, folder / "saved")
        self.workflow = workflows.load(folder / "saved")
        self.compiled: dict[str, Any] = {}
        for feature in features:
            self.compiled[feature.name], made = workflows.compile_feature(self.workflow, feature, means)
            self.vocabularies |= made
        self.beside = operators.save(features, folder)
        self.folder = folder
        self.compiled = transforms.bound(self.compiled, operators.operator_in(folder))

    def encoded(self, table: pd.DataFrame) -> dict[str, Array]:
        return {
            name: transforms.apply(one, table[one["column"]].to_numpy(), self.vocabularies)
            for name, one in self.compiled.items()
        }


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return Fitted(tmp_path_factory.mktemp("operators"), FEATURES, TRAINED)


def test_every_operator_is_here() -> None:
    assert {operator.op for feature in FEATURES for operator in feature.ops} == set(Op)


NUMBERS = st.one_of(
    st.floats(-1e6, 1e6),
    st.floats(allow_nan=False),  # infinite, subnormal, beyond float32
    st.sampled_from([-7.0, 99.5, -4.0, 60.0, 0.0, -0.0, 2.5, 1e30, -1e30]),
    st.none(),
)
WHOLE = st.one_of(
    st.sampled_from([1, 5, 2**40, -9, 0, -1, 2**63 - 1, -(2**63)]),
    st.integers(-(2**63), 2**63 - 1),
    st.none(),
)
WORDS = st.one_of(
    st.sampled_from(["tea", "Tea", "", "naïve 茶", "oil", "never seen"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.none(),
)
ROWS = st.tuples(NUMBERS, NUMBERS.map(lambda x: x if x is None else abs(x)), WHOLE, WORDS,
                 st.integers(-(2**40), 2**40))  # fmt: skip


@MANY
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@given(st.lists(ROWS, min_size=1, max_size=12))
def test_compiled_equals_workflow(fitted: Fitted, rows: list[tuple[Any, ...]]) -> None:
    # After a known row: a column that is null throughout has no type.
    first = (0.0, 0.0, 1, "tea", 0)
    table = pd.DataFrame([first, *rows], columns=list(TRAINED.columns))
    table["whole"] = np.array([1, *(row[2] for row in rows)], dtype=object)  # pandas would make them floats
    expected = workflows.run(fitted.workflow, fitted.features, table)
    for name, got in fitted.encoded(table).items():
        assert got.dtype == expected[name].dtype, name
        np.testing.assert_allclose(got, expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_the_packed_table_gives_the_same(fitted: Fitted) -> None:
    """Raw users lie in the package in other types than the frame's."""
    packed = columns.unpack(columns.pack(TRAINED, TRAINED.columns))
    for name, expected in fitted.encoded(TRAINED).items():
        one = fitted.compiled[name]
        np.testing.assert_array_equal(
            transforms.apply(one, packed[one["column"]], fitted.vocabularies), expected, err_msg=name
        )


def test_who_is_unknown(fitted: Fitted) -> None:
    """FillMissing's value goes through the rest of the chain; a hash has the code of the unknown."""
    unknown = {n: transforms.default_value(one, fitted.vocabularies) for n, one in fitted.compiled.items()}
    assert unknown["fill"] == -3.5
    assert unknown["fill_clip_min_max"] == pytest.approx((-3.5 + 4) / 64)
    assert unknown["clip_high"] == 2.25
    assert unknown["whole_hash"] == unknown["word_hash"] == 2


def test_what_is_not_compiled_is_told(fitted: Fitted) -> None:
    told = {(one["feature"], one["operator"]) for one in fitted.beside}
    assert ("fill_cube_root_normal", "LambdaOp numpy:cbrt") in told
    assert {name for name, _ in told} == {name for name in CHAINS if "cube" in name or name == "inverse"}


def test_what_is_no_number_counts_as_0(fitted: Fitted) -> None:
    assert fitted.encoded(TRAINED)["inverse"][3] == 0  # of 0


@pytest.mark.parametrize(
    ("function", "reason", "says"),
    [
        ("numpy:no_such_function", "UnknownFunction", "numpy:no_such_function is no function of the"),
        ("no_such_module:f", "UnknownFunction", "build an image that has it"),
        ("numpy:pi", "UnknownFunction", "numpy:pi is no function"),
        ("numpy:sum", "FunctionFailed", "gives one of as many"),
        ("math:sqrt", "FunctionFailed", "fails with 0 and 1"),
        ("scipy.stats:rankdata", "NotCompiled", "may depend on the value alone"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_be_served(tmp_path: Path, function: str, reason: str, says: str) -> None:
    made = Feature.model_validate(
        {"name": "f", "column": "number", "ops": [{"op": "LambdaOp", "function": function}]}
    )

    def train() -> None:
        one = Fitted(tmp_path, [made], TRAINED)
        expected = workflows.run(one.workflow, [made], TRAINED)["f"]
        workflows.prove(made, one.compiled["f"], {}, TRAINED["number"].to_numpy(), expected)

    with pytest.raises(BadInput, match=says) as caught:
        train()
    assert caught.value.reason == reason


def test_a_column_of_one_value_has_no_range(tmp_path: Path) -> None:
    feature = Feature.model_validate(
        {"name": "n", "column": "number", "ops": [{"op": "Clip", "max": -8}, MIN_MAX]}
    )
    with pytest.raises(BadInput, match="all values of number are the same") as caught:
        Fitted(tmp_path, [feature], TRAINED)
    assert (caught.value.reason, caught.value.column) == ("OneValue", "number")


def test_a_wrong_compilation_is_not_published(fitted: Fitted) -> None:
    feature = next(f for f in FEATURES if f.name == "clip_log_normal")
    right = fitted.compiled[feature.name]
    expected = workflows.run(fitted.workflow, fitted.features, TRAINED)[feature.name]
    raw = TRAINED["number"].to_numpy()
    workflows.prove(feature, right, {}, raw, expected)
    wrong = right | {"ops": right["ops"][1:]}
    with pytest.raises(BadInput, match=r"clip_log_normal: .* in 1 of 7 rows, first of -7\.0") as caught, \
            np.errstate(invalid="ignore"):  # fmt: skip
        workflows.prove(feature, wrong, {}, raw, expected)
    assert caught.value.reason == "NotCompiled"


def test_nvtabulars_own_hash_depends_on_the_row() -> None:
    """Why HashBucket is not NVTabular's: if this fails, it can be."""
    import nvtabular as nvt  # after workflows, which silences what it warns of

    same = pd.DataFrame({"word": ["tea"] * 8})
    workflow = nvt.Workflow(["word"] >> nvt.ops.HashBucket(1000))
    with on_cpu():
        workflow.fit(dataset(same))
    made = workflow.transform(same)
    assert made["word"].nunique() > 1


def test_a_hash_is_the_same_in_another_process(fitted: Fitted) -> None:
    code = (
        "import numpy as np; from recstack_triton_templates.stages.transforms import hash_bucket as h; "
        "print(h(np.array(['tea', 'oil']), 1000, True).tolist(), h(np.array([5, -9]), 7, False).tolist())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    ).stdout
    encoded = fitted.encoded(TRAINED)
    words, wholes = encoded["word_hash"][[0, 6]].tolist(), encoded["whole_hash"][[1, 4]].tolist()
    assert out.split("\n")[0] == f"{words} {wholes}"
