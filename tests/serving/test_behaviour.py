"""Behavioural features in a real Valkey, against plain arithmetic, read as Triton reads them."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio
import valkey.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recstack_gateway.catalog import Raw
from recstack_gateway.events import behaviour as module
from recstack_gateway.events.effects import Effects
from recstack_gateway.events.event import Event, to_fields
from recstack_gateway.events.writer import EventWriter
from recstack_gateway.plan import Behaviour, Events
from recstack_triton_templates import feast_keys, feast_names
from recstack_triton_templates.event_keys import GROUP, EventKeys
from recstack_triton_templates.feast_view import FeastView, Row
from recstack_triton_templates.seen_keys import SeenKeys

from tests.serving.valkey_server import ValkeyServer

NOW = float(int(time.time()))
WINDOW, TTL = 100, 10_000
PROJECT = feast_names.project("shop", "retail")
BEHAVIOUR = Behaviour(
    project=PROJECT, join_key="person", columns=("taste", "shade", "age"),
    derived={"taste": "genre", "shade": "colour"}, window_seconds=WINDOW, ttl_seconds=TTL,
)  # fmt: skip
SETTINGS = Events(
    types={"view": 1.0, "nothing": 0.0}, trending_half_life_seconds=3600, trending_by=(), recent_items=5,
    retention_seconds=86_400, behaviour=BEHAVIOUR,
)  # fmt: skip
KEYS = EventKeys("shop/retail")
TRANSFORMS = [{"column": column, "ops": [{"op": "Categorify"}]} for column in BEHAVIOUR.columns]
VIEW = FeastView(PROJECT, feast_names.USER_VIEW, "person", TRANSFORMS, TTL)
Did = tuple[float, Mapping[str, Raw]]


class Store:
    """What a worker does with entries, one call each, and what a reader finds."""

    def __init__(self, url: str) -> None:
        self.client = valkey.asyncio.Valkey.from_url(url)
        self.effects = Effects(self.client, "shop/retail")

    async def do(self, *did: Did, user: int = 7, type_: str = "view", settings: Events = SETTINGS) -> None:
        for at, values in did:
            event = Event("x", user, 1, type_, at)
            fields: Any = to_fields(event)
            entry: Any = await self.client.xadd(KEYS.stream(), fields)
            assert await self.effects.apply([(entry, event, values)] * 2, settings) == [None, None]

    async def row(self, user: int = 7, now: float = NOW) -> Row | None:
        reply: Any = await self.client.execute_command(*VIEW.command(user))
        return VIEW.row(reply, now)

    async def logged(self) -> list[dict[str, Any]]:
        """Rows that wait to go offline: the user, their time, values by column."""
        found: Any = await self.client.xrange(KEYS.rows())
        rows = []
        for _, fields in found:
            values = {key.decode(): value for key, value in fields.items()}
            row: dict[str, Any] = {name: int(values.pop(name)) for name in ("user", "at")}
            rows.append(row | {name: feast_keys.decode(value) for name, value in values.items()})
        return rows

    async def stamp(self, user: int = 7) -> float:
        content: Any = await self.client.hget(
            module.row(BEHAVIOUR, user), feast_keys.timestamp_field(feast_names.USER_VIEW)
        )
        return feast_keys.decode_time(content)

    async def write(self, at: float, user: int = 7, **values: Any) -> None:
        """As Feast materializes."""
        words: Any = {
            feast_keys.field(feast_names.USER_VIEW, name): feast_keys.encode(one)
            for name, one in values.items()
        } | {feast_keys.timestamp_field(feast_names.USER_VIEW): feast_keys.encode_time(at)}
        await self.client.hset(module.row(BEHAVIOUR, user), mapping=words)


@pytest_asyncio.fixture
async def store(valkey: ValkeyServer) -> AsyncIterator[Store]:
    made = Store(valkey.url)
    await made.client.flushall()
    await made.client.xgroup_create(KEYS.stream(), GROUP, mkstream=True)
    yield made
    await made.client.aclose()


def brute(did: Sequence[Did], column: str) -> Raw | None:
    """By the definition, of one who did this in this order; None: nothing follows."""
    newest = max(at for at, _ in did)
    order = sorted(range(len(did)), key=lambda place: (did[place][0], place))
    said = [
        did[place][1][column]
        for place in order
        if did[place][0] >= newest - WINDOW and column in did[place][1]
    ]
    last = {value: place for place, value in enumerate(said)}
    return max(last, key=lambda value: (said.count(value), last[value])) if said else None


VALUES = st.fixed_dictionaries(
    {}, optional={"genre": st.sampled_from(["a", "b", "ü\x00"]), "colour": st.sampled_from([0, -1, 2**62])}
)
OFFSETS = st.one_of(st.integers(0, 3 * WINDOW), st.sampled_from([0, WINDOW, 2 * WINDOW, WINDOW + 0.001]))


@given(did=st.lists(st.tuples(OFFSETS.map(lambda ago: NOW - ago), VALUES), min_size=1, max_size=12))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_dominant_value_of_the_window(valkey: ValkeyServer, did: list[Did]) -> None:
    """After each event, whatever the order in which they come, and each delivered twice."""

    async def check() -> None:
        store = Store(valkey.url)
        try:
            await store.client.flushall()
            await store.client.xgroup_create(KEYS.stream(), GROUP, mkstream=True)
            said: dict[str, Raw] = {}
            for count in range(1, len(did) + 1):
                await store.do(did[count - 1])
                for column, of_item in BEHAVIOUR.derived.items():
                    value = brute(did[:count], of_item)
                    if value is not None:  # what was true stays until something else is
                        said[column] = value
                row = await store.row()
                assert (row.values if row else {}) == said
        finally:
            await store.client.aclose()

    asyncio.run(check())


async def test_of_equals_the_later_and_of_one_moment_the_later_entry(store: Store) -> None:
    for number in range(12):  # entries -0 to -11 of one millisecond, of which texts have another order
        entry: Any = await store.client.xadd(KEYS.stream(), {"a": "b"}, id=f"1-{number + 1}")
        event = Event("x", 7, 1, "view", NOW)
        await store.effects.apply([(entry, event, {"genre": str(number)})], SETTINGS)
        row = await store.row()
        assert row is not None
        assert row.values == {"taste": str(number)}


async def test_the_edge_of_the_window_counts(store: Store) -> None:
    old = [(NOW - WINDOW, {"genre": "a"})] * 2
    await store.do(*old, (NOW, {"genre": "b"}))
    assert (await store.row() or Row({}, 0)).values == {"taste": "a"}
    await store.do((NOW + 0.001, {"colour": 1}))
    assert (await store.row() or Row({}, 0)).values == {"taste": "b", "shade": 1}


async def test_other_columns_stay_and_the_time_moves_on(store: Store) -> None:
    """Also when the row is newer than the event, as one is that was materialized a moment ago."""
    await store.write(NOW + 5, taste="z", age=33)
    await store.do((NOW, {"genre": "a"}))
    row = await store.row()
    assert row is not None
    assert row.values == {"taste": "a", "age": 33}
    assert await store.stamp() == pytest.approx(NOW + 5.000001, abs=1e-7)
    await store.do((NOW + 7.25, {"genre": "a"}), (NOW + 8, {"genre": "a"}))
    assert await store.stamp() == pytest.approx(NOW + 5.000001, abs=1e-7)  # nothing new was said
    await store.do(*[(NOW + 9.5, {"genre": "c"})] * 4)
    assert await store.stamp() == pytest.approx(NOW + 9.5, abs=1e-7)


async def test_who_was_unknown_is_known_by_what_they_did(store: Store) -> None:
    assert await store.row() is None
    await store.do((NOW, {}))
    assert await store.row() is None
    await store.do((NOW, {"genre": "a"}))
    assert await store.row() == Row({"taste": "a"}, NOW + TTL)
    assert await store.row(8) is None


async def test_a_row_that_stays_true_is_kept_in_time(store: Store) -> None:
    await store.do((NOW, {"genre": "a"}), (NOW + TTL / 2, {"genre": "a"}))
    assert await store.stamp() == NOW
    await store.do((NOW + TTL / 2 + 1, {"genre": "a"}))
    assert await store.stamp() == NOW + TTL / 2 + 1


async def test_what_is_too_old_does_not_come_back(store: Store) -> None:
    await store.write(NOW - TTL - 1, age=33, taste="z")
    await store.do((NOW, {"genre": "a"}))
    assert await store.row() == Row({"taste": "a"}, NOW + TTL)


async def test_what_weighs_nothing_says_nothing(store: Store) -> None:
    await store.do((NOW, {"genre": "a"}), type_="nothing")
    await store.do((NOW, {"genre": "a"}), settings=SETTINGS.model_copy(update={"behaviour": None}))
    assert await store.row() is None


async def test_only_the_latest_events_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    await store.do(*[(NOW, {"genre": "a"})] * 5, *[(NOW + 1, {"genre": "b"})] * 2)
    assert await store.client.zcard(KEYS.behaviour(7)) == 3
    assert (await store.row() or Row({}, 0)).values == {"taste": "b"}
    assert 0 < await store.client.ttl(KEYS.behaviour(7)) <= WINDOW


@pytest.mark.parametrize("at", [0.0, 0.0000004, 1.5, 1e11])
async def test_times_of_any_year(store: Store, at: float) -> None:
    await store.do((at, {"genre": "a"}), (at, {"genre": "b"}))
    assert await store.stamp() == pytest.approx(at + 2e-6, abs=3e-6)


async def test_a_forgotten_person_has_done_nothing(store: Store, valkey: ValkeyServer) -> None:
    """What the tables say of somebody stays; of somebody known by deeds only nothing does."""
    marks = SeenKeys("shop/retail", 100, 0.01, 3600)
    writer = EventWriter(valkey.url, "shop/retail")
    try:
        await store.write(NOW - 50, user=7, age=33, taste="a")
        for user in (7, 8, 9):
            await store.do((NOW, {"genre": "b", "colour": 1}), user=user)
        found = await writer.state(marks, 7, BEHAVIOUR)
        assert (found.behaviour, found.features) == (1, {"taste": "b", "shade": 1})
        for user in (7, 8):
            await writer.forget(marks, user, BEHAVIOUR)
            # The row that changed, and that it is to go: until the offline store was told.
            assert await writer.state(marks, user, BEHAVIOUR) == ([], 0, 0, 0, {}, 2)
        row = await store.row(7)
        assert row is not None
        assert row.values == {"age": 33}
        assert await store.client.exists(module.row(BEHAVIOUR, 8)) == 0
        assert (await writer.state(marks, 9, BEHAVIOUR)).features == {"taste": "b", "shade": 1}
    finally:
        await writer.close()


async def test_each_row_that_changed_goes_offline_once_and_whole(store: Store) -> None:
    """Also what others wrote beside it: of an entity the last row counts, wholly."""
    await store.write(NOW - 50, age=41, taste="old")
    await store.do((NOW - 2, {"genre": "a"}), (NOW - 1, {"genre": "a"}), (NOW, {"genre": "b"}))
    await store.do((NOW + 1, {"genre": "b"}))
    rows = await store.logged()
    # After the fourth a and b are alike often, and the later one wins; the two between change nothing.
    assert [(row["user"], row["taste"], row["age"]) for row in rows] == [(7, "a", 41), (7, "b", 41)]
    assert [row["at"] for row in rows] == [int((NOW - 2) * 1e6), int((NOW + 1) * 1e6)]
    online = await store.row(now=NOW + 2)
    assert online is not None
    assert online.values == {name: rows[-1][name] for name in ("taste", "age")}


async def test_who_is_forgotten_is_to_be_forgotten_offline(store: Store, valkey: ValkeyServer) -> None:
    await store.do((NOW, {"genre": "a"}))
    writer = EventWriter(valkey.url, "shop/retail")
    marks = SeenKeys("shop/retail", 10, 0.01, 60)
    try:
        assert (await writer.state(marks, 7, BEHAVIOUR)).offline == 1
        await writer.forget(marks, 7, BEHAVIOUR)
        entries: Any = await store.client.xrange(KEYS.rows())
        assert [fields.get(b"forget") for _, fields in entries] == [None, b"7"]
        assert (await writer.state(marks, 7, BEHAVIOUR)).offline == 2
        assert (await writer.state(marks, 8, BEHAVIOUR)).offline == 0
    finally:
        await writer.close()
