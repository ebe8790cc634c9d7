"""What events do in a real Valkey, against plain arithmetic; no Triton."""

import asyncio
import math
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
import valkey.asyncio
from recstack_gateway.catalog import Raw
from recstack_gateway.events import effects as module
from recstack_gateway.events.consumer import Consumer
from recstack_gateway.events.event import Event, from_fields
from recstack_gateway.events.writer import EventWriter
from recstack_gateway.plan import Events
from recstack_triton_templates.event_keys import GROUP, EventKeys
from recstack_triton_templates.seen_keys import SeenKeys
from recstack_triton_templates.trending_keys import TrendingKeys

from tests.serving.valkey_server import ValkeyServer

NOW = float(int(time.time()))
HALF = 3600.0
SETTINGS = Events(
    types={"view": 1.0, "cart": 5.0, "nothing": 0.0},
    trending_half_life_seconds=HALF,
    trending_by=("colour",),
    recent_items=5,
    retention_seconds=86_400,
)
Call = tuple[bytes, Event, Mapping[str, Raw]]
KEYS, LISTS = EventKeys("shop/retail"), TrendingKeys("shop/retail")


class Known:
    """Items 1 to 99; those that 7 divides have no colour."""

    def __init__(self) -> None:
        self.now: Events | None = SETTINGS

    def settings(self) -> Events | None:
        return self.now

    def item(self, item: int) -> Mapping[str, Raw] | None:
        if not 1 <= item <= 99:
            return None
        return {} if item % 7 == 0 else {"colour": "red" if item % 2 else "blue"}


class Shop:
    """A gateway's writer and a worker's consumer on one Valkey."""

    def __init__(self, url: str) -> None:
        self.client = valkey.asyncio.Valkey.from_url(url)
        self.writer = EventWriter(url, "shop/retail", clock=lambda: NOW)
        self.known = Known()

    def another(self, name: str) -> Consumer:
        return Consumer(self.client, "shop/retail", name, self.known)

    async def send(self, *events: Event) -> int:
        return (await self.writer.accept(events, marks=None, stream=True)).new

    async def work(self, consumer: Consumer | None = None) -> None:
        """Until nothing is left."""
        consumer = consumer or self.another("one")
        task = asyncio.create_task(consumer.run())
        try:
            async with asyncio.timeout(20):
                while await self.client.xlen(KEYS.stream()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            consumer.stop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def scores(self, key: str) -> dict[int, float]:
        found: Any = await self.client.zrange(key, 0, -1, withscores=True)
        return {int(member): score for member, score in found}


@pytest_asyncio.fixture
async def shop(valkey: ValkeyServer) -> AsyncIterator[Shop]:
    made = Shop(valkey.url)
    await made.client.flushall()
    yield made
    await made.writer.close()
    await made.client.aclose()


def event(number: int, item: int, user: int | None = 1, type_: str = "view", at: float = NOW) -> Event:
    return Event(f"e{number}", user, item, type_, at)


def decayed(events: list[Event], landmark: float) -> dict[int, float]:
    """Weight by item, by the definition."""
    total: dict[int, float] = defaultdict(float)
    for one in events:
        total[one.item] += SETTINGS.weight(one.type) * 2 ** ((one.seconds - landmark) / HALF)
    return dict(total)


async def landmark(shop: Shop, key: str) -> float:
    found: Any = await shop.client.hget(LISTS.landmarks(), key)
    return float(found.split()[0])


async def test_trending_is_the_decayed_sum(shop: Shop) -> None:
    dice = random.Random(1)
    events = [
        event(n, dice.randint(1, 99), dice.choice([None, 1, 2]), dice.choice(["view", "cart", "other"]),
              NOW - dice.random() * 50_000)
        for n in range(500)
    ]  # fmt: skip
    assert await shop.send(*events) == 500
    await shop.work()
    lists = {
        LISTS.everywhere(): events,
        LISTS.among("colour", "red"): [one for one in events if one.item % 2 and one.item % 7],
        LISTS.among("colour", "blue"): [one for one in events if not one.item % 2 and one.item % 7],
    }
    for key, counted in lists.items():
        assert await shop.scores(key) == pytest.approx(decayed(counted, await landmark(shop, key)), rel=1e-9)
    assert {key.decode() async for key in shop.client.scan_iter("recstack:trending:*")} == set(lists)


async def test_order_is_that_of_now_whatever_the_landmark(shop: Shop) -> None:
    """Ten old carts weigh less than one view of today, across moves of the landmark."""
    old = [event(n, 1, type_="cart", at=NOW - 400 * HALF) for n in range(10)]
    await shop.send(*old, event(20, 2, at=NOW - HALF), event(21, 3))
    await shop.work()
    found = await shop.client.zrevrange(LISTS.everywhere(), 0, -1)
    assert found == [b"3", b"2"]
    assert await landmark(shop, LISTS.everywhere()) == NOW - HALF
    assert await shop.scores(LISTS.everywhere()) == {3: 2.0, 2: 1.0}


async def test_another_half_life_keeps_what_was_counted(shop: Shop) -> None:
    await shop.send(event(1, 1, at=NOW - HALF), event(2, 2, at=NOW - 2 * HALF))
    await shop.work()
    shop.known.now = SETTINGS.model_copy(update={"trending_half_life_seconds": 2 * HALF})
    await shop.send(event(3, 3, at=NOW))
    await shop.work()
    assert await shop.scores(LISTS.everywhere()) == {1: 0.5, 2: 0.25, 3: 1.0}


@pytest.mark.parametrize("at", [0.0, 1.0, 1e11])
async def test_times_of_any_year_break_nothing(shop: Shop, at: float) -> None:
    await shop.send(event(1, 1, at=at), event(2, 2), event(3, 3, at=at))
    await shop.work()
    assert all(math.isfinite(one) for one in (await shop.scores(LISTS.everywhere())).values())
    assert max(await shop.scores(LISTS.everywhere())) >= 2


async def test_a_list_is_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    await shop.send(*[event(n, 1 + n % 99, at=NOW + n - 1000) for n in range(400)])
    await shop.work()
    scores = await shop.scores(LISTS.everywhere())
    assert 10 <= len(scores) <= 20
    assert 400 % 99 in scores


async def test_recent_items_are_the_latest_each_once(shop: Shop) -> None:
    await shop.send(*[event(n, 1 + n % 8, at=NOW - 100 + n) for n in range(20)], event(30, 50, at=NOW - 5000))
    await shop.send(event(40, 9, user=2))
    await shop.work()
    expected = {1 + n % 8: NOW - 100 + n for n in range(20)}
    latest = dict(sorted(expected.items(), key=lambda pair: -pair[1])[:5])
    assert await shop.scores(KEYS.recent(1)) == latest
    assert await shop.scores(KEYS.recent(2)) == {9: NOW}
    assert 0 < await shop.client.ttl(KEYS.recent(1)) <= 86_400


async def test_the_same_event_again_changes_nothing(shop: Shop) -> None:
    assert await shop.send(event(1, 1), event(1, 2), event(2, 3)) == 2
    assert await shop.send(event(2, 3), event(1, 1)) == 0
    sent = await asyncio.gather(*[shop.send(event(3, 5)) for _ in range(20)])
    assert sum(sent) == 1
    await shop.work()
    assert await shop.scores(LISTS.everywhere()) == {1: 1.0, 3: 1.0, 5: 1.0}


async def test_delivered_twice_counts_once(shop: Shop) -> None:
    """Both consumers were given the same entries, and both work them off."""
    await shop.send(*[event(n, 1) for n in range(50)])
    await shop.client.xgroup_create(KEYS.stream(), GROUP, id="0")
    first: Any = await shop.client.xreadgroup(GROUP, "dead", {KEYS.stream(): ">"})
    entries = first[0][1]
    calls: list[Call] = [(id_, event(0, 1), {}) for id_, _ in entries]
    made = module.Effects(shop.client, "shop/retail")
    await asyncio.gather(made.apply(calls, SETTINGS), made.apply(calls[::-1], SETTINGS))
    await made.apply(calls, SETTINGS)
    assert await shop.scores(LISTS.everywhere()) == {1: 50.0}


async def test_what_a_dead_consumer_held_is_taken_over(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recstack_gateway.events.consumer.IDLE_MILLISECONDS", 50)
    monkeypatch.setattr("recstack_gateway.events.consumer.CLAIM_SECONDS", 0.05)
    await shop.send(*[event(n, 1) for n in range(10)])
    await shop.client.xgroup_create(KEYS.stream(), GROUP, id="0")
    await shop.client.xreadgroup(GROUP, "dead", {KEYS.stream(): ">"}, count=7)
    await shop.work()
    assert await shop.scores(LISTS.everywhere()) == {1: 10.0}


async def test_poison_goes_aside_with_its_reason_and_blocks_nothing(shop: Shop) -> None:
    good = {"id": "x", "user": "1", "item": "5", "type": "view", "at": "1.0"}
    bad: list[dict[str, str]] = [
        {"nonsense": "1"}, good | {"item": "five"}, good | {"at": "nan"}, good | {"at": "inf"},
        good | {"at": "-1"}, good | {"user": str(2**63)}, good | {"item": "\udcff"}, good | {"item": "12345"},
    ]  # fmt: skip
    for fields in bad:
        words = {key: value.encode(errors="surrogateescape") for key, value in fields.items()}
        await shop.client.xadd(KEYS.stream(), words)
    await shop.send(event(1, 5))
    await shop.work()
    assert await shop.scores(LISTS.everywhere()) == {5: 1.0}
    letters: Any = await shop.client.xrange(KEYS.dead())
    reasons = [fields[b"reason"].decode() for _, fields in letters]
    assert len(reasons) == len(bad)
    assert sum("no planned version has this item" in reason for reason in reasons) == 1
    assert any("no field 'id'" in reason for reason in reasons)
    assert any("a time that is none" in reason for reason in reasons)
    assert letters[1][1][b"item"] == b"five"


async def test_an_entry_that_valkey_refuses_is_poison(shop: Shop) -> None:
    await shop.client.set(KEYS.recent(1), "not a sorted set")
    await shop.send(event(1, 5), event(2, 5, user=2))
    await shop.work()
    assert await shop.scores(KEYS.recent(2)) == {5: NOW}
    assert await shop.client.xlen(KEYS.dead()) == 1


async def test_the_stream_does_not_grow(shop: Shop) -> None:
    await shop.send(*[event(n, 1 + n % 99) for n in range(1000)])
    assert await shop.client.xlen(KEYS.stream()) == 1000
    await shop.work()
    pending: Any = await shop.client.xpending(KEYS.stream(), GROUP)
    assert (await shop.client.xlen(KEYS.stream()), pending["pending"]) == (0, 0)


async def test_a_forgotten_user_leaves_nothing_and_others_stay(shop: Shop) -> None:
    """What waits, what a worker holds right now, what lies among the dead letters."""
    marks = SeenKeys("shop/retail", 100, 0.01, 86_400)
    await shop.writer.accept([event(1, 5), event(2, 6, user=2)], marks=marks, stream=True)
    await shop.work()
    await shop.writer.accept([event(3, 7), event(4, 12345), event(5, 8, user=2)], marks=marks, stream=True)
    await shop.client.xadd(KEYS.dead(), {"user": "1", "reason": "a test"})
    held: Any = await shop.client.xreadgroup(GROUP, "busy", {KEYS.stream(): ">"})
    assert await shop.writer.state(marks, 1, None) == ([(5, NOW)], 1, 3, 0, {}, 0)
    await shop.writer.forget(marks, 1, None)
    assert await shop.writer.state(marks, 1, None) == ([], 0, 0, 0, {}, 0)
    calls: list[Call] = [(id_, from_fields(fields), {}) for id_, fields in held[0][1]]
    await module.Effects(shop.client, "shop/retail").apply(calls, SETTINGS)
    assert await shop.writer.state(marks, 1, None) == ([], 0, 0, 0, {}, 0)
    assert not [key async for key in shop.client.scan_iter("*/1}*")]
    assert set(await shop.scores(KEYS.recent(2))) == {6, 8}
    assert await shop.scores(LISTS.everywhere()) == {5: 1.0, 6: 1.0, 8: 1.0}
