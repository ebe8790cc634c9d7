"""The real worker process on a real Valkey: killed at random points, nothing lost, nothing counted twice."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import valkey as client
from recstack_gateway.events.event import Event
from recstack_gateway.events.writer import EventWriter
from recstack_triton_templates import feast_keys, feast_names
from recstack_triton_templates.event_keys import GROUP, EventKeys
from recstack_triton_templates.trending_keys import TrendingKeys

from tests.serving.api_server import ApiServer
from tests.serving.conftest import Packages
from tests.serving.pod import Pod
from tests.serving.sample_package import RETAIL, SamplePackage
from tests.serving.valkey_server import ValkeyServer, free_port

KEYS, LISTS = EventKeys("shop/retail"), TrendingKeys("shop/retail")
KILLS, EVENTS = 8, 6000
BEHAVIOUR: dict[str, Any] = {
    "project": feast_names.project("shop", "retail"),
    "joinKey": "user_id",
    "columns": ["taste"],
    "derived": {"taste": "category_l1"},
    "windowSeconds": 86_400,
    "ttlSeconds": 3600,
}


@pytest.fixture
def bench(tmp_path: Path, packages: Packages, valkey: ValkeyServer) -> Iterator[Pod]:
    """A pod of which only the worker runs."""
    api = ApiServer()
    api.start()
    made = Pod(tmp_path, api, valkey.url)
    made.behaviour = BEHAVIOUR
    try:
        made.publish("first", made.add_version("first", packages.first, packages.artifacts))
        yield made
    finally:
        made.stop()
        api.stop()


async def _accept(url: str, events: list[Event]) -> None:
    writer = EventWriter(url, "shop/retail")
    try:
        for start in range(0, len(events), 500):
            await writer.accept(events[start : start + 500], marks=None, stream=True)
    finally:
        await writer.close()


def _categories() -> dict[int, str | None]:
    package = SamplePackage(RETAIL, 1)
    feature = next(one for one in RETAIL.item if one.name == "category_l1")
    values = sorted(feature.values)
    codes = package.items["category_l1"].tolist()
    return {
        item: values[code - 3] if code >= 3 else None
        for item, code in zip(package.item_ids.tolist(), codes, strict=True)
    }


def test_killed_anywhere_it_loses_and_doubles_nothing(bench: Pod, valkey: ValkeyServer) -> None:
    """Events of one moment: every sum is a whole number, so that it must be exact."""
    dice = random.Random(3)
    at = float(int(time.time()) - 60)
    weights = {"view": 1, "cart": 5, "purchase": 10}
    events = [
        Event(f"k{n}", dice.randint(1, 20), dice.randint(1000, 1399), dice.choice(list(weights)), at)
        for n in range(EVENTS)
    ]
    asyncio.run(_accept(valkey.url, events))
    store = client.Valkey.from_url(valkey.url)
    port, kills = free_port(), 0
    left = EVENTS
    while kills < KILLS and left:
        bench.start("worker", PORT=str(port), HOSTNAME="one")
        before = left
        bench.wait("it works", lambda bound=before: _left(store) < bound, 60)  # type: ignore[misc]
        time.sleep(dice.random() * 0.02)
        bench.kill("worker")
        kills, left = kills + 1, _left(store)
    assert kills >= 3, "it was too fast to be killed; send more events"
    bench.start("worker", PORT=str(port))
    bench.wait("all is worked off", lambda: not _left(store), 60)
    expected: Counter[int] = Counter()
    for one in events:
        expected[one.item] += weights[one.type]
    assert _scores(store, LISTS.everywhere()) == dict(expected)
    categories = _categories()
    for value in {one for one in categories.values() if one is not None}:
        among = {item: count for item, count in expected.items() if categories[item] == value}
        assert _scores(store, LISTS.among("category_l1", value)) == among
    for user in range(1, 21):
        mine = {one.item for one in events if one.user == user}
        recent = _scores(store, KEYS.recent(user))
        assert set(recent) <= mine
        assert len(recent) == min(100, len(mine))
        liked = [categories[one.item] for one in events if one.user == user and categories[one.item]]
        last = {value: place for place, value in enumerate(liked)}
        taste = max(last, key=lambda value: (liked.count(value), last[value]))
        _rows_agree(store, user, round(at * 1e6), taste)
    pending: Any = store.xpending(KEYS.stream(), GROUP)
    assert pending["pending"] == 0
    assert store.exists(KEYS.dead()) == 0
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    assert "recstack_events_processed_total" in text
    assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).json() == {"status": "ok"}


def _rows_agree(store: "client.Valkey", user: int, at: int, taste: str | None) -> None:
    """A change moves a row's time by a microsecond here: one that is lost leaves a gap, a double a pair."""
    found: Any = store.xrange(KEYS.rows())
    mine = [fields for _, fields in found if int(fields[b"user"]) == user]
    assert [int(one[b"at"]) for one in mine] == list(range(at, at + len(mine)))
    tastes = [feast_keys.decode(one[b"taste"]) for one in mine]
    assert all(before != after for before, after in itertools.pairwise(tastes))
    key: Any = feast_keys.entity_key(BEHAVIOUR["project"], "user_id", user)
    online: Any = store.hgetall(key)
    assert online[feast_keys.field(feast_names.USER_VIEW, "taste")] == mine[-1][b"taste"]
    stamp = online[feast_keys.timestamp_field(feast_names.USER_VIEW)]
    assert round(feast_keys.decode_time(stamp) * 1e6) == int(mine[-1][b"at"])
    assert tastes[-1] == taste


def _left(store: "client.Valkey") -> int:
    return int(store.xlen(KEYS.stream()))  # type: ignore[arg-type]


def _scores(store: "client.Valkey", key: str) -> dict[int, float]:
    found: Any = store.zrange(key, 0, -1, withscores=True)
    return {int(member): score for member, score in found}
