"""Feast's format against bytes that Feast 0.67.0 made."""

import contextlib
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recstack_triton_templates import feast_keys, feast_names

TAIL = "726563737461636b5f73686f705f72657461696c"


@pytest.mark.parametrize(
    ("project", "join_key", "entity_id", "golden"),
    [
        (
            feast_names.project("shop", "retail"),
            "user_id",
            17,
            f"010000000200000007000000757365725f696404000000080000001100000000000000{TAIL}",
        ),
        (
            "recstack_shop_retail",
            "item_id",
            -3,
            f"0100000002000000070000006974656d5f69640400000008000000fdffffffffffffff{TAIL}",
        ),
        (
            "recstack_a-b_films",
            "Zuschauer-№",
            -(2**63),
            "01000000020000000d0000005a75736368617565722de284960400000008000000"
            "0000000000000080726563737461636b5f612d625f66696c6d73",
        ),
    ],
)
def test_keys_are_feasts(project: str, join_key: str, entity_id: int, golden: str) -> None:
    key = feast_keys.entity_key(project, join_key, entity_id)
    assert key.hex() == golden
    assert key.startswith(feast_keys.key_prefix(join_key))
    assert feast_keys.entity_id(key, project, join_key) == entity_id
    assert feast_keys.entity_id(key, f"{project}x", join_key) is None
    assert feast_keys.entity_id(key, project[1:], join_key) is None
    assert feast_keys.entity_id(key, project, "session") is None


@pytest.mark.parametrize(
    ("view", "feature", "golden"),
    [
        ("user_features", "age", "040cda01"),
        ("user_features", "top_category", "107bc34e"),
        ("item_features", "category_l1", "6b012993"),
        ("v", "", "2e634dce"),
        ("größe", "№", "9608608f"),
    ],
)
def test_fields_are_feasts(view: str, feature: str, golden: str) -> None:
    assert feast_keys.field(view, feature).hex() == golden


GOLDEN: list[tuple[Any, str]] = [
    (0, "2000"),
    (np.int64(-1), "20ffffffffffffffffff01"),
    (2**63 - 1, "20ffffffffffffffff7f"),
    (-(2**63), "2080808080808080808001"),
    (np.int32(300), "18ac02"),
    (np.int32(-1), "18ffffffffffffffffff01"),
    (np.float32(1.5), "350000c03f"),
    (np.float32(0.1), "35cdcccc3d"),
    (0.1, "299a9999999999b93f"),
    (float("inf"), "29000000000000f07f"),
    ("", "1200"),
    (np.str_("Söckchen"), "120953c3b6636b6368656e"),
    ("x" * 200, "12c801" + "78" * 200),
    (True, "3801"),
    (np.False_, "3800"),
    (None, ""),
]


@pytest.mark.parametrize(("value", "golden"), GOLDEN)
def test_values_are_feasts(value: Any, golden: str) -> None:
    assert feast_keys.encode(value).hex() == golden
    decoded = feast_keys.decode(bytes.fromhex(golden))
    assert decoded == value
    assert isinstance(decoded, bool) == isinstance(value, bool | np.bool_)


def test_kinds_that_are_read_only() -> None:
    assert feast_keys.decode(bytes.fromhex("980100")) is None  # null_val
    assert feast_keys.decode(bytes.fromhex("0a026162")) == b"ab"
    assert feast_keys.decode(bytes.fromhex("408081c8ac06")) == 1_704_067_200  # unix_timestamp_val


@pytest.mark.parametrize(
    ("seconds", "golden"),
    [
        (0.0, ""),
        (1_704_067_200.0, "088081c8ac06"),
        (1_704_067_200.5, "088081c8ac061080cab5ee01"),
        (0.000001, "10e807"),
    ],
)
def test_times_are_feasts(seconds: float, golden: str) -> None:
    assert feast_keys.encode_time(seconds).hex() == golden
    assert feast_keys.decode_time(bytes.fromhex(golden)) == seconds


def test_what_is_no_value_is_refused() -> None:
    lists = bytes.fromhex("72040a020102")
    with pytest.raises(ValueError, match="none of the kinds"):
        feast_keys.decode(lists)
    for broken in ("20", "20ff", "12056162", "2900", "23", "20" + "ff" * 11):
        with pytest.raises(ValueError, match=r"message|wire|64 bits"):
            feast_keys.decode(bytes.fromhex(broken))
    with pytest.raises(TypeError):
        feast_keys.encode([1])
    with pytest.raises(OverflowError):
        feast_keys.encode(2**63)


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text()))
def test_what_is_written_is_read(value: float | str) -> None:
    assert feast_keys.decode(feast_keys.encode(value)) == value


@given(st.binary(max_size=40))
def test_whatever_lies_there_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert feast_keys.decode(content) is None or content


@given(st.integers(0, 2**31))
def test_an_id_is_found_again(entity_id: int) -> None:
    key = feast_keys.entity_key("p", "item", entity_id)
    assert struct.unpack_from("<q", key, len(feast_keys.key_prefix("item")))[0] == entity_id
    assert feast_keys.entity_id(key, "p", "item") == entity_id
