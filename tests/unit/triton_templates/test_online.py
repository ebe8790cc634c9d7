"""Rows of Feast's views, and the one pipeline, without a server."""

from typing import Any

import numpy as np
from recstack_triton_templates import feast_keys
from recstack_triton_templates.feast_view import FeastView
from recstack_triton_templates.online import Known
from recstack_triton_templates.online_reads import SeenReads, UserReads
from recstack_triton_templates.request import Request
from recstack_triton_templates.seen_keys import SeenKeys

NOW = 1_704_067_200.0
TRANSFORMS: list[dict[str, Any]] = [
    {"column": "person", "ops": [{"op": "Categorify"}]},
    {"column": "age", "ops": [{"op": "Normalize"}]},
    {"column": "age", "ops": [{"op": "Bucketize"}]},
    {"column": "taste", "ops": [{"op": "Categorify"}]},
]


def _view(ttl: int = 60) -> FeastView:
    return FeastView("p", "v", "person", TRANSFORMS, ttl)


def test_a_view_has_each_column_once_and_not_the_id() -> None:
    view = _view()
    assert view.columns == ("age", "taste")
    assert view.command(3) == (
        "HMGET",
        feast_keys.entity_key("p", "person", 3),
        b"_ts:v",
        feast_keys.field("v", "age"),
        feast_keys.field("v", "taste"),
    )


def test_rows_end_with_their_time() -> None:
    stamp, age = feast_keys.encode_time(NOW), feast_keys.encode(40)
    row = _view().row([stamp, age, None], NOW + 59)
    assert row is not None
    assert (row.values, row.until) == ({"age": 40}, NOW + 60)
    assert _view().row([stamp, age, None], NOW + 61) is None
    assert _view(0).row([stamp, age, None], NOW + 1e9) is not None
    assert _view(0).row([None, age, None], NOW) is not None
    assert _view().row([None, age, None], NOW) is None
    assert _view().row([b"\xff", age, None], NOW) is None
    assert _view(0).row([None, None, None], NOW) is None


def test_what_cannot_be_used_is_null() -> None:
    stamp = feast_keys.encode_time(NOW)
    for broken in (b"\xff", feast_keys.encode("old"), feast_keys.encode(float("nan")), b"\x0a\x01x", b""):
        row = _view().row([stamp, broken, broken], NOW)
        assert row is not None
        assert row.values["age"] is None


def test_replies_become_what_is_known() -> None:
    users, seen = UserReads(_view()), SeenReads(SeenKeys("shop/retail", 10, 0.01, 60))
    request = Request(3)
    replies = [[feast_keys.encode_time(NOW), feast_keys.encode(40), b""]]
    known = seen.add(users.add(Known(), request, replies, NOW), request, [[None, b"\xff" * 30, None]], NOW)
    assert known.user is not None
    assert {name: value.tolist() for name, value in known.user.items()} == {
        "person": [3],
        "age": [40],
        "taste": [None],
    }
    assert known.seen is not None
    assert known.seen(np.arange(5)).all()
    assert users.add(Known(), request, [[None, None, None]], NOW).user == {}
    assert len(seen.commands(request, NOW)[0]) == 4
    for nobody in (Request(None), Request(3, plain=True)):
        assert not users.commands(nobody, NOW)
        assert not seen.commands(nobody, NOW)
