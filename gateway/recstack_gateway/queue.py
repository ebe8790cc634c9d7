"""How many requests of a version Triton is given at once, and how many wait for it here.

Triton has bounds of its own (``default_queue_policy``), and with any of them its dynamic batcher loses
requests for a while: one that comes while all instances work does not wake it, and lies there for up to
half a second though they are idle long since (seen with 2.51: a caller by itself got 17 answers a second,
without the bounds 234). So a version's models have none.
"""

import asyncio
import time
from types import TracebackType

from recstack_triton_templates.render import ServingSettings

from recstack_gateway.errors import Busy


class Queue:
    """First come, first served: ``async with queue`` around each request.

    Triton has what its instances work on and, as far as so many may wait, as much again, so that the next run
    is there when one ends. Raises Busy on entry: too many wait already, or it took too long.
    """

    def __init__(self, settings: ServingSettings) -> None:
        running = settings.instances * settings.batch_requests
        ready = min(running, settings.queue_requests)
        self._slots = asyncio.Semaphore(running + ready)
        self._most, self._seconds = settings.queue_requests - ready, settings.queue_milliseconds / 1000
        self._waiting = 0
        self.waited_seconds = 0.0
        """By all requests so far, here."""

    async def __aenter__(self) -> None:
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()  # without a pause, as there is a place

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slots.release()

    async def _wait(self) -> None:
        if self._waiting >= self._most:
            raise Busy("too many requests wait in this pod")
        began = time.monotonic()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise Busy("too many requests wait in this pod: this one waited too long") from None
        finally:
            self._waiting -= 1
            self.waited_seconds += time.monotonic() - began
