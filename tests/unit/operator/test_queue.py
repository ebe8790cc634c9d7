import asyncio

import pytest
from recstack_operator.queue import Closed, WorkQueue


def queue() -> "WorkQueue[str]":
    return WorkQueue(jitter=lambda: 0.5, rest=0)


async def test_a_key_waits_once() -> None:
    keys = queue()
    keys.add("a")
    keys.add("a")
    keys.add("b")
    assert [await keys.take(), await keys.take()] == ["a", "b"]
    assert len(keys) == 0


async def test_a_key_that_is_worked_on_comes_again_only_after_that() -> None:
    keys = queue()
    keys.add("a")
    await keys.take()
    keys.add("a")
    assert len(keys) == 0
    keys.done("a")
    assert await keys.take() == "a"
    keys.done("a")
    assert len(keys) == 0


async def test_a_burst_is_one_pass_after_a_rest() -> None:
    keys: WorkQueue[str] = WorkQueue(rest=0.1)
    began = asyncio.get_running_loop().time()
    keys.add("a")
    assert await keys.take() == "a"
    keys.add("a")
    keys.done("a")
    for _ in range(3):
        keys.add("a")
    keys.add("b")
    assert await keys.take() == "b"
    assert await keys.take() == "a"
    assert asyncio.get_running_loop().time() - began >= 0.09
    keys.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(keys.take(), 0.15)


async def test_delays_double_and_success_forgets_them() -> None:
    keys = queue()
    assert [keys.add_failed("a") for _ in range(3)] == pytest.approx([0.2, 0.4, 0.8])
    assert [keys.add_failed("b") for _ in range(20)][-1] == 60.0
    keys.succeeded("a")
    assert keys.add_failed("a") == pytest.approx(0.2)
    keys.close()


async def test_the_earlier_of_two_times_counts() -> None:
    keys = queue()
    keys.add_after("a", 60)
    keys.add_after("a", 0.01)
    assert await asyncio.wait_for(keys.take(), 1) == "a"


async def test_a_closed_queue_gives_nothing() -> None:
    keys = queue()
    waiting = asyncio.create_task(keys.take())
    await asyncio.sleep(0)
    keys.close()
    with pytest.raises(Closed):
        await waiting
    keys.add("a")
    with pytest.raises(Closed):
        await keys.take()
