"""What is remembered of single requests changes no value."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from recstack_triton_templates.stages import nvt_transform
from recstack_triton_templates.stages.nvt_transform import Transforms

COMPILED = {
    name: {
        "column": column,
        "dtype": "int64" if "code" in default else "float32",
        "ops": ops,
        "default": default,
    }
    for name, column, ops, default in (
        ("hour_sin", "t", [{"op": "HourSin"}], {"raw": 0}),
        ("hour_cos", "t", [{"op": "HourCos"}], {"raw": 0}),
        ("weekday_sin", "t", [{"op": "WeekdaySin"}], {"raw": 0}),
        ("weekday_cos", "t", [{"op": "WeekdayCos"}], {"raw": 0}),
        ("age", "age", [{"op": "Normalize", "mean": 40.0, "std": 9.0}], {"raw": 40.0}),
        ("device", "device", [{"op": "Categorify", "vocab": "v", "codes": "c"}], {"code": 2}),
        ("kind", "kind", [{"op": "Categorify", "vocab": "tv", "codes": "tc"}], {"code": 2}),
    )
}
VOCABULARIES = {
    "v": np.array([0, 1, 2]),
    "c": np.array([3, 4, 5]),
    "tv": np.array(["0", "b"]),
    "tc": np.array([3, 4]),
}
TRANSFORMS = Transforms(COMPILED, VOCABULARIES, list(COMPILED))
SINGLE = st.fixed_dictionaries(
    {},
    optional={
        "t": st.integers(-(10**11), 10**11),
        "age": st.one_of(st.integers(-5, 5), st.floats(-5, 5), st.just(float("nan"))),
        "device": st.one_of(st.integers(-2, 4), st.sampled_from(["0", "b"])),
        "kind": st.one_of(st.integers(-2, 4), st.sampled_from(["0", "b", "c"])),
    },
)


@given(st.lists(SINGLE, min_size=1, max_size=30))
def test_single_requests_are_encoded_as_rows_are(requests: list[dict[str, int | float | str]]) -> None:
    for request in requests:
        raw = {column: np.array([value]) for column, value in request.items()}
        expected, got = TRANSFORMS(raw), TRANSFORMS.batch([raw])
        assert got.keys() == expected.keys()
        for name, value in expected.items():
            assert got[name].dtype == value.dtype
            np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_what_is_remembered_has_an_end() -> None:
    made = Transforms(COMPILED, VOCABULARIES, ["device"])
    for value in range(3 * nvt_transform.REMEMBERED):
        made.batch([{"device": np.array([value])}])
    assert len(made._remembered) <= nvt_transform.REMEMBERED
