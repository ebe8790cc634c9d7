"""``/metrics``, ``/healthz`` and ``/readyz`` on one port."""

from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], str | None]
"""Why something is not well; None: it is."""


def application(alive: Sequence[Check], ready: Sequence[Check]) -> web.Application:
    """``/healthz`` is 200 while no check of ``alive`` complains, ``/readyz`` the same of ``ready``."""

    def answer(checks: Sequence[Check]) -> web.Response:
        wrong = [found for check in checks if (found := check())]
        return web.Response(text="\n".join(wrong or ["ok"]) + "\n", status=503 if wrong else 200)

    async def healthz(_: web.Request) -> web.Response:
        return answer(alive)

    async def readyz(_: web.Request) -> web.Response:
        return answer(ready)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    result = web.Application()
    result.router.add_get("/healthz", healthz)
    result.router.add_get("/readyz", readyz)
    result.router.add_get("/metrics", metrics)
    return result
