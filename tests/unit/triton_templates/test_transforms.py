"""Hash buckets and what a request sends them; parity with NVTabular is tested with the training image."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recstack_triton_templates.stages.context_preprocessor import ContextPreprocessor
from recstack_triton_templates.stages.nvt_transform import Transforms
from recstack_triton_templates.stages.transforms import Array, hash_bucket

SPLITMIX64_OF_0 = 0xE220A8397B1DCDAF
"""The first number of the published generator from seed 0."""


def test_whole_numbers_are_hashed_by_splitmix64() -> None:
    buckets = 10_000_000
    assert hash_bucket(np.array([0]), buckets, text=False).tolist() == [3 + SPLITMIX64_OF_0 % buckets]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))), st.integers(2, 10**7))
def test_codes_of_whole_numbers(values: list[int | None], buckets: int) -> None:
    codes = hash_bucket(np.array(values, dtype=object), buckets, text=False)
    assert [code == 1 for code in codes] == [value is None for value in values]
    assert all(3 <= code < 3 + buckets for code in codes if code != 1)
    known = np.array([value for value in values if value is not None], dtype=np.int64)
    assert hash_bucket(known, buckets, text=False).tolist() == codes[codes != 1].tolist()


@given(st.lists(st.text(st.characters(), max_size=9), min_size=1), st.integers(2, 10**7))
def test_codes_of_texts(values: list[str], buckets: int) -> None:
    """Any text that JSON can hold, halves of surrogate pairs among them; as objects and as NumPy's texts."""
    codes = hash_bucket(np.array(values, dtype=object), buckets, text=True)
    assert ((codes >= 3) & (codes < 3 + buckets)).all()
    assert hash_bucket(np.array(values), buckets, text=True).tolist() == codes.tolist()


@pytest.mark.parametrize("text", [True, False])
def test_buckets_are_filled_evenly(text: bool) -> None:
    values = np.arange(100_000)
    counts = Counter(hash_bucket(values.astype(str) if text else values, 100, text).tolist())
    expected = len(values) / 100
    assert sorted(counts) == list(range(3, 103))
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 148.2  # 99 degrees of freedom, one in a thousand


@pytest.mark.parametrize(("text", "known", "stranger"), [(True, "app", 7), (False, 7, "app")])
def test_a_context_of_the_other_kind_is_unknown(text: bool, known: int | str, stranger: int | str) -> None:
    op = {"op": "HashBucket", "buckets": 50, "text": text}
    compiled = {"channel": {"column": "via", "dtype": "int64", "ops": [op], "default": {"code": 2}}}
    preprocess = ContextPreprocessor(list(compiled.values()), "at")
    transform = Transforms(compiled, {}, ["channel"])

    def code(via: int | float | str | None) -> Array:
        return transform(preprocess(json.loads(json.dumps({"via": via})), 0.0))["channel"]

    assert code(known)[0] == hash_bucket(np.array([known]), 50, text)[0] >= 3
    assert code(stranger).tolist() == code(None).tolist() == code(2.5).tolist() == [2]
