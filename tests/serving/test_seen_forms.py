"""What was seen, in bitmaps and in filters of a Bloom module: the gateway's writer and the model's reader."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import valkey.asyncio
from recstack_gateway.events import writer as writing
from recstack_gateway.events.event import Event
from recstack_gateway.events.writer import PROBE_SECONDS, EventWriter
from recstack_triton_templates import online
from recstack_triton_templates.online import Known, Reads, ValkeyOnline, ValkeyPipeline
from recstack_triton_templates.online_reads import BitmapReads, NativeReads
from recstack_triton_templates.request import Request
from recstack_triton_templates.seen_keys import SLICES, SeenKeys

from tests.serving.bloom_server import Server, bloom_server
from tests.serving.valkey_server import MODULE, ValkeyServer

KEYS = SeenKeys("shop/retail", 1000, 0.01, 86_400)
FORMS = ("bitmap", "native")
ASKED = 20_000
"""Ids that nobody saw and whose share of false positives is counted."""


@dataclass
class Shop:
    """A gateway's writer and a model's reader at one server and at one time."""

    server: Server
    writer: EventWriter
    client: "valkey.asyncio.Valkey"
    now: list[float] = field(default_factory=lambda: [time.time()])

    def known(self, user: int) -> Known:
        pipeline = ValkeyPipeline(self.server.url, self.clock)
        reads: list[Reads] = [BitmapReads(KEYS), NativeReads(KEYS, pipeline.run)]
        return ValkeyOnline(pipeline, reads, self.clock).fetch([Request(user)])[0]

    def clock(self) -> float:
        return self.now[0]

    def seen(self, user: int, ids: Sequence[int]) -> list[int]:
        known = self.known(user)
        assert not known.degraded
        found = [] if known.seen is None else np.array(ids)[known.seen(np.array(ids))].tolist()
        assert not known.incomplete
        return found

    async def see(self, user: int, items: Sequence[int], ago: float = 0, name: str = "e") -> int:
        events = [Event(f"{name}-{user}-{one}", user, one, "view", self.clock() - ago) for one in items]
        return (await self.writer.accept(events, marks=KEYS, stream=False)).new

    async def names(self) -> dict[str, int]:
        """Filters by kind."""
        found = [key.decode().split(":")[1] async for key in self.client.scan_iter("recstack:seen*")]
        return {one: found.count(one) for one in set(found)}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(form: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("valkey")
    with bloom_server(folder) if form == "native" else ValkeyServer(folder) as started:
        yield started


@pytest_asyncio.fixture
async def shop(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    for module in (online, writing):
        monkeypatch.setattr(module, "TIMEOUT", 10.0)  # the stand-in is slow, the machine may be busy
    times = [time.time()]
    writer = EventWriter(server.url, "shop/retail", clock=lambda: times[0])
    made = Shop(server, writer, valkey.asyncio.Valkey.from_url(server.url), times)
    # The stand-in closes a connection after an error, which NOSCRIPT is.
    await made.client.script_load(writer._once.script)
    yield made
    await writer.close()
    await made.client.aclose()


def _kind(form: str) -> str:
    return "seen-bf" if form == "native" else "seen"


async def test_what_was_seen_is_found_in_the_form_that_the_server_has(shop: Shop, form: str) -> None:
    ids = [-(2**63), -5, 0, 7, 2**53 + 1, 2**63 - 1]
    assert shop.seen(1, ids) == []
    assert await shop.see(1, ids[1:]) == 5
    assert await shop.see(1, ids) == 1
    assert shop.seen(1, [*ids, 8, 2**53]) == ids
    assert shop.seen(2, ids) == []
    assert await shop.names() == {_kind(form): 1}


async def test_it_counts_as_long_as_declared(shop: Shop, form: str) -> None:
    await shop.see(1, [5], ago=KEYS.ttl_seconds - 1)
    await shop.see(1, [6], ago=2 * KEYS.ttl_seconds)
    assert shop.seen(1, [5, 6]) == [5]
    (key,) = [key async for key in shop.client.scan_iter("recstack:seen*")]
    assert 0 < await shop.client.ttl(key) <= 1.5 * KEYS.ttl_seconds
    shop.now[0] += KEYS.ttl_seconds
    assert shop.seen(1, [5, 6]) == []


async def test_false_positives_at_capacity_are_as_declared(
    shop: Shop, form: str, record_property: Callable[[str, object], None]
) -> None:
    """All slices that are read are full. Four standard deviations of the binomial are allowed."""
    for part in range(SLICES):
        items = range(part * KEYS.capacity, (part + 1) * KEYS.capacity)
        ago = part * KEYS.slice_seconds
        for start in range(0, KEYS.capacity, 100):
            await shop.see(1, items[start : start + 100], ago=ago, name=str(part))
    assert await shop.names() == {_kind(form): SLICES}
    marked = list(range(SLICES * KEYS.capacity))
    assert shop.seen(1, marked) == marked
    share = len(shop.seen(1, range(10**6, 10**6 + ASKED))) / ASKED
    record_property("false_positives", share)
    print(f"{form}: {share:.5f} of {ASKED} ids, declared {KEYS.error_rate}")
    # The stand-in's hashes are its own, and half as many again come out; the module's are what is declared.
    declared = KEYS.error_rate * (2 if form == "native" and MODULE is None else 1)
    allowed = 4 * (declared * (1 - declared) / ASKED) ** 0.5
    assert 0 < share <= declared + allowed


async def test_a_server_that_goes_away_is_told(shop: Shop, form: str) -> None:
    await shop.see(1, [5, 6])
    known = shop.known(1)
    shop.server.stop()
    assert known.seen is not None
    found = known.seen(np.array([5, 6, 7])).tolist()
    # A bitmap was read whole; a filter of the server can be asked no more.
    assert (found, known.incomplete) == (
        ([True, True, False], False) if form == "bitmap" else ([False] * 3, True)
    )
    assert shop.known(1).incomplete


async def test_a_server_that_gets_the_module_keeps_what_was_seen(shop: Shop, form: str) -> None:
    """What bitmaps hold goes on counting; what comes now is in the server's form. Forgotten are both."""
    shop.writer._native, shop.writer._probe_at = False, shop.clock() + PROBE_SECONDS
    await shop.see(1, [5])
    assert await shop.names() == {"seen": 1}
    shop.now[0] += PROBE_SECONDS
    await shop.see(1, [6])
    assert await shop.names() == ({"seen": 1, "seen-bf": 1} if form == "native" else {"seen": 1})
    assert shop.seen(1, [5, 6, 7]) == [5, 6]
    await shop.see(2, [5])
    assert (await shop.writer.state(KEYS, 1, None)).filters == (2 if form == "native" else 1)
    await shop.writer.forget(KEYS, 1, None)
    assert (await shop.writer.state(KEYS, 1, None)).filters == 0
    assert shop.seen(1, [5, 6, 7]) == []
    assert shop.seen(2, [5, 6, 7]) == [5]


async def test_a_server_that_refuses_a_filter_gets_a_bitmap(shop: Shop, form: str) -> None:
    """Between asking for the module and using it the server was replaced: nothing is lost."""
    shop.writer._native, shop.writer._probe_at = True, shop.clock() + PROBE_SECONDS
    if form == "native":
        for key in KEYS.natives(1, shop.clock()):
            await shop.client.set(key, "no filter")
    assert await shop.see(1, [5, 6]) == 2
    assert await shop.see(1, [5, 6]) == 0
    found: Any = await shop.client.exists(*KEYS.bitmaps(1, shop.clock()))
    assert found == 1
    if form == "bitmap":
        assert shop.seen(1, [5, 6, 7]) == [5, 6]
