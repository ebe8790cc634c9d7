"""Online features: what the real Feast writes into a real Valkey, read as it stands there, and served."""

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import valkey
import valkey.asyncio
from recstack_gateway.events.effects import Effects
from recstack_gateway.events.event import Event, to_fields
from recstack_gateway.plan import Behaviour, Events
from recstack_triton_templates import feast_keys, feast_names
from recstack_triton_templates.event_keys import GROUP, EventKeys
from recstack_triton_templates.feast_view import FeastView
from recstack_triton_templates.online import ValkeyOnline, ValkeyPipeline
from recstack_triton_templates.online_reads import UserReads
from recstack_triton_templates.request import Request

from tests.serving.feast_sdk import FeastSdk
from tests.serving.valkey_server import ValkeyServer

TTL = 3600
PROJECT = feast_names.project("shop", "retail")
COLUMNS = {"small": "Int32", "whole": "Int64", "short": "Float32", "long": "Float64", "text": "String"}
TRANSFORMS = [{"column": column, "ops": [{"op": "Categorify"}]} for column in ("person", *COLUMNS)]
IDS = [17, 0, -1, -(2**63), 2**63 - 1, 4_000_000_000, *range(100, 130)]


@pytest.fixture(scope="module")
def feast(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer) -> Iterator[FeastSdk]:
    views = {
        feast_names.USER_VIEW: {"key": "person", "columns": COLUMNS},
        feast_names.ITEM_VIEW: {"key": "film", "columns": {"whole": "Int64"}},
    }
    with FeastSdk(tmp_path_factory.mktemp("feast"), PROJECT, valkey.port, TTL, views) as sdk:
        yield sdk


def _view() -> FeastView:
    return FeastView(PROJECT, feast_names.USER_VIEW, "person", TRANSFORMS, TTL)


def _online(url: str, view: FeastView) -> ValkeyOnline:
    return ValkeyOnline(ValkeyPipeline(url, time.time), [UserReads(view)], time.time)


def _fetched(server: ValkeyServer, ids: list[int]) -> list[dict[str, Any] | None]:
    """As the stages get it: raw values by column; None: unknown."""
    store = _online(server.url, _view())
    known = store.fetch([Request(one) for one in ids])
    assert not any(one.degraded for one in known)
    return [{name: value[0] for name, value in one.user.items()} if one.user else None for one in known]


def _row(one: int, random: random.Random) -> dict[str, Any]:
    values = {
        "small": random.choice([0, -1, random.randrange(-(2**31), 2**31)]),
        "whole": random.choice([0, -1, 2**63 - 1, -(2**63), random.randrange(-(2**63), 2**63)]),
        "short": float(np.float32(random.choice([0.0, random.gauss(0, 1e6)]))),
        "long": random.choice([0.0, -0.1, random.gauss(0, 1e9)]),
        "text": random.choice(["", "Söckchen", "x" * 500, str(random.random())]),
    }
    return {"person": one} | {k: None if random.random() < 0.2 else v for k, v in values.items()}


def test_reads_what_feast_reads(feast: FeastSdk, valkey: ValkeyServer) -> None:
    chance = random.Random(5)
    for one in IDS:  # one at a time: a frame with nulls would make floats of its integers
        feast.write(feast_names.USER_VIEW, [_row(one, chance)])
    missing = [-2, 5, 2**62]
    expected = feast.read(feast_names.USER_VIEW, [*IDS, *missing])
    found = _fetched(valkey, [*IDS, *missing])
    assert found[len(IDS) :] == [None] * len(missing)
    nulls = 0
    for place, one in enumerate(IDS):
        row = found[place]
        assert row is not None
        assert row.pop("person") == one
        theirs = {column: expected[column][place] for column in COLUMNS}
        assert row == theirs
        nulls += list(row.values()).count(None)
    assert 10 < nulls < len(IDS) * len(COLUMNS) / 2


def test_a_row_counts_for_its_ttl(feast: FeastSdk, valkey: ValkeyServer) -> None:
    """Feast gives the row's time and leaves it to the caller whether it counts."""
    ages = {201: 0, 202: TTL - 60, 203: TTL + 1, 204: TTL * 1000}
    for one, age in ages.items():
        feast.write(
            feast_names.USER_VIEW, [{"person": one} | dict.fromkeys(COLUMNS, None) | {"whole": one}], age
        )
    expected, found = feast.read(feast_names.USER_VIEW, list(ages)), _fetched(valkey, list(ages))
    now = time.time()
    counts = [ts + TTL > now for ts in expected["ts"]]
    assert counts == [True, True, False, False]
    assert [None if row is None else row["whole"] for row in found] == [
        value if good else None for value, good in zip(expected["whole"], counts, strict=True)
    ]


def test_a_column_that_was_never_written_is_absent(feast: FeastSdk, valkey: ValkeyServer) -> None:
    feast.write(feast_names.USER_VIEW, [{"person": 301} | dict.fromkeys(COLUMNS, None) | {"whole": 4}])
    key = feast_keys.entity_key(PROJECT, "person", 301)
    _client(valkey).hdel(key, feast_keys.field(feast_names.USER_VIEW, "text"))
    assert feast.read(feast_names.USER_VIEW, [301])["text"] == [None]
    (row,) = _fetched(valkey, [301])
    assert row is not None
    assert "text" not in row
    assert row["whole"] == 4


def test_feast_reads_what_is_written_beside_it(feast: FeastSdk, valkey: ValkeyServer) -> None:
    values = {
        "small": np.int32(-7), "whole": 2**40, "short": np.float32(0.25), "long": -1.5, "text": "Größe 38",
    }  # fmt: skip
    fields = {
        feast_keys.field(feast_names.USER_VIEW, name): feast_keys.encode(v) for name, v in values.items()
    }
    fields[feast_keys.timestamp_field(feast_names.USER_VIEW)] = feast_keys.encode_time(1_704_067_200.25)
    _client(valkey).hset(feast_keys.entity_key(PROJECT, "person", -401), mapping=fields)
    found = feast.read(feast_names.USER_VIEW, [-401])
    assert found.pop("ts") == [1_704_067_200]
    assert found == {name: [value] for name, value in values.items()}


def test_feast_reads_what_events_wrote(feast: FeastSdk, valkey: ValkeyServer) -> None:
    """And what goes offline is the same row, with the columns that Feast had written before."""
    users, at = [701, -702], float(int(time.time()))
    feast.write(
        feast_names.USER_VIEW, [{"person": users[0]} | dict.fromkeys(COLUMNS, None) | {"small": 9}], 60
    )
    asyncio.run(_behave(valkey.url, users, at))
    found = feast.read(feast_names.USER_VIEW, users)
    assert (found["text"], found["whole"]) == (["Größe", "Größe"], [-(2**40)] * 2)
    assert found["small"] == [9, None]
    assert found["ts"] == [int(at) + 1] * 2
    offline = {int(row[b"user"]): row for _, row in _client(valkey).xrange(EventKeys("shop/retail").rows())}
    for place, user in enumerate(users):  # the last row of each
        row = offline[user]
        assert int(row[b"at"]) == int(found["ts"][place] * 1e6)
        theirs = {name: found[name][place] for name in ("small", "whole", "text")}
        ours = {name: feast_keys.decode(row[name.encode()]) for name in theirs if name.encode() in row}
        assert ours == {name: value for name, value in theirs.items() if value is not None}


async def _behave(url: str, users: list[int], at: float) -> None:
    """Everyone likes one thing, a second later another."""
    follows = Behaviour(
        project=PROJECT, join_key="person", columns=("small", "whole", "text"),
        derived={"whole": "colour", "text": "genre"}, window_seconds=100, ttl_seconds=TTL,
    )  # fmt: skip
    settings = Events(
        types={"view": 1.0}, trending_half_life_seconds=3600, trending_by=(), recent_items=5,
        retention_seconds=86_400, behaviour=follows,
    )  # fmt: skip
    client, stream = valkey.asyncio.Valkey.from_url(url), EventKeys("shop/retail").stream()
    try:
        await client.xgroup_create(stream, GROUP, mkstream=True)
        effects = Effects(client, "shop/retail")
        for seconds, genre, colour in ((at, "x", 1), (at + 1, "Größe", -(2**40))):
            for user in users:
                event = Event("x", user, 1, "view", seconds)
                fields: Any = to_fields(event)
                entry: Any = await client.xadd(stream, fields)
                await effects.apply([(entry, event, {"genre": genre, "colour": colour})], settings)
    finally:
        await client.aclose()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300, "forty", True])
def test_a_poisoned_number_is_null(valkey: ValkeyServer, number: Any) -> None:
    transforms = [{"column": "age", "ops": [{"op": "Normalize"}]}]
    view = FeastView(PROJECT, "poisoned", "person", transforms, 0)
    key = feast_keys.entity_key(PROJECT, "person", 501)
    _client(valkey).hset(key, feast_keys.field("poisoned", "age"), feast_keys.encode(number))
    store = _online(valkey.url, view)
    (known,) = store.fetch([Request(501)])
    assert known.user is not None
    assert known.user["age"].tolist() == [True if number is True else None]


def test_one_that_is_no_row_degrades_nobody_else(valkey: ValkeyServer) -> None:
    client = _client(valkey)
    client.set(feast_keys.entity_key(PROJECT, "person", 601), "x")
    store = _online(valkey.url, _view())
    first, second = store.fetch([Request(601), Request(17)])
    assert (first.degraded, second.degraded) == (True, False)
    assert second.user is not None


def test_plain_and_anonymous_requests_ask_nothing(tmp_path: Path) -> None:
    store = _online("valkey://127.0.0.1:1", _view())
    assert [one.degraded for one in store.fetch([Request(None), Request(17, plain=True)])] == [False, False]
    assert store.fetch([Request(17)])[0].degraded


def _client(server: ValkeyServer) -> Any:
    return valkey.Valkey.from_url(server.url)
