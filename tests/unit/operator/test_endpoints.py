from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from recstack_operator.endpoints import application


class Served:
    """The pages of a process; ``wrong`` is what its checks say."""

    def __init__(self) -> None:
        self.wrong: dict[str, str | None] = {"alive": None, "ready": None}

    async def start(self) -> web.AppRunner:
        runner = web.AppRunner(
            application(
                alive=[lambda: None, lambda: self.wrong["alive"]], ready=[lambda: self.wrong["ready"]]
            )
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def get(self, path: str) -> tuple[int, str]:
        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return answer.status, await answer.text()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    found = Served()
    runner = await found.start()
    yield found
    await runner.cleanup()


async def test_a_well_process_says_ok(served: Served) -> None:
    assert await served.get("/healthz") == (200, "ok\n")
    assert await served.get("/readyz") == (200, "ok\n")


async def test_a_dead_watch_makes_it_unhealthy_and_says_which(served: Served) -> None:
    served.wrong["alive"] = "the watch of Job missed a change 30 s ago"
    assert await served.get("/healthz") == (503, "the watch of Job missed a change 30 s ago\n")
    assert (await served.get("/readyz"))[0] == 200


async def test_it_is_not_ready_before_the_first_look(served: Served) -> None:
    served.wrong["ready"] = "not yet"
    assert await served.get("/readyz") == (503, "not yet\n")
    assert (await served.get("/healthz"))[0] == 200


async def test_metrics_are_prometheus_text(served: Served) -> None:
    status, text = await served.get("/metrics")
    assert status == 200
    assert "# TYPE recstack_reconcile_seconds histogram" in text
