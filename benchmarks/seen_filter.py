"""Both forms of the seen filter: share of false positives at capacity, and how long a request's reads take.

``python benchmarks/seen_filter.py [--module PATH]`` in the serving environment. ``--module``: Valkey's Bloom module,
without which there are only bitmaps. Written by the gateway's writer, read as the model reads, over one connection.
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

CAPACITY, RATES, CANDIDATES, ROUNDS, UNSEEN = 1000, (0.1, 0.01, 0.001), 600, 2000, 1_000_000


async def _fill(url: str, keys: SeenKeys, now: float) -> None:
    """Every slice that is read, to its capacity."""
    writer = EventWriter(url, keys.scope, clock=lambda: now)
    for part in range(SLICES):
        at = now - part * keys.slice_seconds
        for start in range(0, CAPACITY, 100):
            items = range(part * CAPACITY + start, part * CAPACITY + start + 100)
            events = [Event(f"{keys.error_rate}-{one}", 1, one, "view", at) for one in items]
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
    for rate in RATES:
        keys = SeenKeys("shop/retail", CAPACITY, rate, 86_400)
        asyncio.run(_fill(server.url, keys, now))
        pipeline = ValkeyPipeline(server.url, lambda: now)
        reads: list[Reads] = [BitmapReads(keys), NativeReads(keys, pipeline.run)]
        online = ValkeyOnline(pipeline, reads, lambda: now)
        known = online.fetch([Request(1)])[0]
        assert known.seen is not None
        assert known.seen(np.arange(SLICES * CAPACITY)).all()
        unseen = np.arange(10**6, 10**6 + UNSEEN).reshape(-1, 10_000)
        share = float(np.mean([known.seen(ids).mean() for ids in unseen]))

        def request(online: ValkeyOnline = online) -> Known:
            found = online.fetch([Request(1)])[0]
            assert found.seen is not None
            found.seen(np.arange(CANDIDATES))
            return found

        assert not request().incomplete
        half, most = _milliseconds(request)
        print(f"{form}: declared {rate}, false positives {share:.5f}, read ms p50 {half:.2f} p99 {most:.2f}")


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
