"""Rows of Feast's views, and the one pipeline, without a server."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from recstack_triton_templates import feast_keys
from recstack_triton_templates.feast_view import FeastView
from recstack_triton_templates.online import AskedSeen, Command, Known
from recstack_triton_templates.online_reads import BitmapReads, NativeReads, UserReads
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
    users, seen = UserReads(_view()), BitmapReads(SeenKeys("shop/retail", 10, 0.01, 60))
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


def test_filters_that_are_there_are_asked_in_chunks() -> None:
    asked: list[Command] = []

    def run(commands: Sequence[Command]) -> list[Any]:
        asked.extend(commands)
        return [[one % 1000 == 0 for one in command[2:]] for command in commands]

    keys = SeenKeys("shop/retail", 10, 0.01, 60)
    reads, request = NativeReads(keys, run), Request(3)
    names = [command[1] for command in reads.commands(request, NOW)]
    assert names == keys.natives(3, NOW)
    assert not set(names) & set(keys.bitmaps(3, NOW))
    assert reads.add(Known(), request, [0, 0, 0], NOW).seen is None
    known = reads.add(Known(seen=lambda ids: ids == 7), request, [1, 0, 1], NOW)
    assert known.seen is not None
    assert np.flatnonzero(known.seen(np.arange(2500))).tolist() == [0, 7, 1000, 2000]
    assert [(command[1], len(command) - 2) for command in asked] == [
        (name, size) for name in (names[0], names[2]) for size in (1000, 1000, 500)
    ]
    assert known.seen(np.arange(0)).tolist() == []
    assert not known.incomplete
    for nobody in (Request(None), Request(3, plain=True)):
        assert not reads.commands(nobody, NOW)


def test_a_filter_that_does_not_answer_is_told_and_not_asked_again() -> None:
    calls = []
    seen = AskedSeen(lambda ids: calls.append(len(ids)), lambda ids: ids == 7)
    known = Known(seen=seen)
    assert not known.incomplete
    for _ in range(2):
        assert seen(np.array([6, 7])).tolist() == [False, True]
    assert known.incomplete
    assert calls == [2]
