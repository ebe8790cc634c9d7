"""Requests that wait for Triton: in order, bounded, each for a while."""

import asyncio

import pytest
from recstack_gateway.errors import Busy
from recstack_gateway.queue import Queue
from recstack_triton_templates.render import ServingSettings


def _queue(batch: int = 1, instances: int = 1, waiting: int = 3, milliseconds: int = 60_000) -> Queue:
    return Queue(
        ServingSettings(
            batch_requests=batch,
            instances=instances,
            queue_requests=waiting,
            queue_milliseconds=milliseconds,
        )
    )


class Model:
    """Counts; nobody leaves before ``done``."""

    def __init__(self, queue: Queue) -> None:
        self.queue, self.done, self.inside, self.order = queue, asyncio.Event(), 0, list[int]()

    async def ask(self, number: int) -> None:
        async with self.queue:
            self.inside += 1
            self.order.append(number)
            await self.done.wait()
            self.inside -= 1


@pytest.mark.parametrize(
    ("batch", "instances", "waiting", "inside"),
    [(1, 1, 3, 2), (16, 1, 3, 19), (16, 2, 256, 64), (4, 1, 4, 8)],
)
async def test_running_and_waiting_are_bounded(batch: int, instances: int, waiting: int, inside: int) -> None:
    """Triton has two runs at most; as many wait as may, wherever they do; the next is refused at once."""
    model = Model(_queue(batch, instances, waiting))
    tasks = [asyncio.create_task(model.ask(n)) for n in range(batch * instances + waiting)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert model.inside == inside
    with pytest.raises(Busy, match="too many requests wait"):
        await model.ask(-1)
    model.done.set()
    await asyncio.gather(*tasks)
    assert model.order == sorted(model.order)
    assert len(model.order) == len(tasks)


async def test_a_wait_has_an_end_and_frees_its_place() -> None:
    model = Model(_queue(waiting=2, milliseconds=10))
    inside = [asyncio.create_task(model.ask(n)) for n in range(2)]
    await asyncio.sleep(0)
    for _ in range(3):
        with pytest.raises(Busy, match="too long"):
            await model.ask(-1)
    assert 0.03 <= model.queue.waited_seconds < 30
    model.done.set()
    await asyncio.gather(*inside)
    await model.ask(2)


async def test_who_goes_away_while_waiting_takes_nobodys_place() -> None:
    model = Model(_queue(waiting=2))
    inside = [asyncio.create_task(model.ask(n)) for n in range(2)]
    await asyncio.sleep(0)
    gone = asyncio.create_task(model.ask(-1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    next_one = asyncio.create_task(model.ask(2))
    await asyncio.sleep(0)
    model.done.set()
    await asyncio.gather(*inside, next_one)
    assert model.order == [0, 1, 2]


async def test_an_error_frees_its_place() -> None:
    queue = _queue(waiting=1)
    for _ in range(5):
        with pytest.raises(ValueError, match="of the model"):
            async with queue:
                raise ValueError("of the model")
