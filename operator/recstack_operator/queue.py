"""A work queue as client-go has it: a key waits once, is worked on by one worker, and may be put off.

https://pkg.go.dev/k8s.io/client-go/util/workqueue
"""

import asyncio
import random
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
FIRST_DELAY, LONGEST_DELAY = 0.2, 60.0
REST = 0.5
"""Seconds from when a key was last taken until it is ready again: a pass brings a burst of events, of its own
writes most of all, and one more sees them all."""


class Closed(Exception):
    """The queue gives no more keys."""


class WorkQueue(Generic[K]):
    """Keys to work on. Not for use from several threads."""

    def __init__(self, jitter: Callable[[], float] = random.random, rest: float = REST) -> None:
        self._jitter, self._rest = jitter, rest
        self._taken: dict[K, float] = {}
        self._ready: list[K] = []
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._later: dict[K, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait for a worker, those put off left out."""
        return len(self._ready)

    def add(self, key: K) -> None:
        """Have ``key`` worked on soon; one that is being worked on comes again after that."""
        if self._closed.is_set():
            return
        left = self._taken.get(key, -self._rest) + self._rest - asyncio.get_running_loop().time()
        if left > 0 and key not in self._working:
            self.add_after(key, left)
        else:
            self._make_ready(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Have ``key`` worked on in ``seconds`` at the latest; an earlier time that was asked for stays."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        planned = self._later.get(key)
        if planned is not None:
            if planned[0] <= due:
                return
            planned[1].cancel()
        self._later[key] = (due, loop.call_at(due, self._due, key))

    def add_failed(self, key: K) -> float:
        """Have ``key`` worked on after a delay that doubles with each failure; gives the delay, seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_DELAY * 2.0**failures, LONGEST_DELAY) * (0.5 + self._jitter())
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forget the failures of ``key``."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """The next key, which is now being worked on.

        Raises:
            Closed: there will be none.
        """
        while not self._ready:
            if self._closed.is_set():
                raise Closed
            self._changed.clear()
            await self._changed.wait()
        if self._closed.is_set():
            raise Closed
        now = asyncio.get_running_loop().time()
        self._taken = {one: at for one, at in self._taken.items() if now - at < self._rest}
        key = self._ready.pop(0)
        self._taken[key] = now
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The work on ``key`` has ended, well or not."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Give no more keys; work that was begun is not disturbed."""
        self._closed.set()
        for _, handle in self._later.values():
            handle.cancel()
        self._later.clear()
        self._changed.set()

    async def closed(self) -> None:
        """Return when the queue is closed."""
        await self._closed.wait()

    def _due(self, key: K) -> None:
        self._later.pop(key, None)
        self._make_ready(key)

    def _make_ready(self, key: K) -> None:
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._changed.set()
