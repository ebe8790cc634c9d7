"""Mirrored requests: what another version would have answered, for nobody but the statistics."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ValidationError

from recstack_gateway.errors import Unavailable
from recstack_gateway.version import Version

AT_ONCE = 4
"""Mirrored requests under way; more are left out, so that those of people do not wait for them."""


class _Item(BaseModel):
    id: int
    score: float


class _Reply(BaseModel):
    items: list[_Item]


class Shadow:
    """Asks and compares in the background. ``infer``: one request of one version."""

    def __init__(
        self,
        infer: Callable[[Version, bytes], Awaitable[bytes]],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._infer, self._draw = infer, draw
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, version: Version, fraction: float, content: bytes, given: bytes) -> None:
        """Ask ``version`` too, by lot; ``given`` is what the live one answered."""
        if len(self._tasks) >= AT_ONCE or self._draw() >= fraction:
            return
        task = asyncio.create_task(self._compare(version, content, given))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compare(self, version: Version, content: bytes, given: bytes) -> None:
        start = time.perf_counter()
        try:
            mirrored = await self._infer(version, content)
        except Unavailable:
            version.statistics.failed(1)
            return
        version.statistics.took(time.perf_counter() - start)
        version.statistics.answered(1, 0)
        found = compare(given, mirrored)
        if found is not None:
            version.statistics.compared(*found)


def compare(given: bytes, mirrored: bytes) -> tuple[float, float] | None:
    """Share of the given items that the mirrored reply holds too, mean distance of the scores of those.

    None: one of both is a refusal, or nothing was given.
    """
    try:
        mine, other = (
            {one.id: one.score for one in _Reply.model_validate_json(text).items}
            for text in (given, mirrored)
        )
    except ValidationError:
        return None
    if not mine:
        return None
    both = [abs(score - other[item]) for item, score in mine.items() if item in other]
    return len(both) / len(mine), sum(both) / len(both) if both else 0.0
