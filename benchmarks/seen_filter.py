"""Both forms of the seen filter: share of false positives at capacity, and how long a request's reads take.

``python benchmarks/seen_filter.py [--module PATH]`` in the serving environment. ``--module``: Valkey's Bloom
module, without which there are only bitmaps. Written by the gateway's writer, read as the model reads.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from recstack_gateway.events.event import Event
from recstack_gateway.events.writer import EventWriter
from recstack_triton_templates import online as reading
from recstack_triton_templates.online import Known, Reads, ValkeyOnline, ValkeyPipeline
from recstack_triton_templates.online_reads import BitmapReads, NativeReads
from recstack_triton_templates.request import Request
from recstack_triton_templates.seen_keys import SLICES, SeenKeys

from tests.serving.valkey_server import ValkeyServer

CAPACITY, CANDIDATES, ROUNDS, UNSEEN = 1000, 600, 2000, 1_000_000
CASES = ((0.1, 1), (0.01, 1), (0.001, 1), (0.01, 3))
"""Declared error rates, and how many times the capacity is put in."""


async def _fill(url: str, keys: SeenKeys, now: float, items: int) -> None:
    """So many items into every slice that is read, of a user of that number."""
    writer = EventWriter(url, keys.scope, clock=lambda: now)
    for part in range(SLICES):
        at = now - part * keys.slice_seconds
        for start in range(part * items, (part + 1) * items, 100):
            ids = range(start, start + 100)
            events = [Event(f"{items}-{keys.error_rate}-{one}", items, one, "view", at) for one in ids]
            await writer.accept(events, marks=keys, stream=False)
    await writer.close()


def _milliseconds(action: Callable[[], object]) -> tuple[float, float]:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        action()
        took.append((time.perf_counter() - began) * 1000)
    return float(np.percentile(took, 50)), float(np.percentile(took, 99))


def _measure(form: str, server: ValkeyServer) -> None:
    now = time.time()
    for rate, times in CASES:
        keys = SeenKeys("shop/retail", CAPACITY, rate, 86_400)
        user = times * CAPACITY
        asyncio.run(_fill(server.url, keys, now, user))
        pipeline = ValkeyPipeline(server.url, lambda: now)
        reads: list[Reads] = [BitmapReads(keys), NativeReads(keys, pipeline.run)]
        online = ValkeyOnline(pipeline, reads, lambda: now)
        known = online.fetch([Request(user)])[0]
        assert known.seen is not None
        assert known.seen(np.arange(SLICES * user)).all()
        unseen = np.arange(10**6, 10**6 + UNSEEN).reshape(-1, 10_000)
        share = float(np.mean([known.seen(ids).mean() for ids in unseen]))

        def request(online: ValkeyOnline = online, user: int = user) -> Known:
            found = online.fetch([Request(user)])[0]
            assert found.seen is not None
            found.seen(np.arange(CANDIDATES))
            return found

        assert not request().incomplete
        half, most = _milliseconds(request)
        told = f"{form}: declared {rate}, {times}x capacity, false positives {share:.5f}"
        print(f"{told}, read ms p50 {half:.2f} p99 {most:.2f}")


def main() -> None:
    """Measure."""
    reading.TIMEOUT = 10.0  # a busy machine shows in the figures, not as an outage
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module")
    module = parser.parse_args().module
    for form, path in (("bitmap", None), ("native", module)):
        if form == "bitmap" or path:
            with tempfile.TemporaryDirectory() as folder, ValkeyServer(Path(folder), path) as server:
                _measure(form, server)


if __name__ == "__main__":
    main()
