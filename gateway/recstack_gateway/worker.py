"""Entry of the ``events`` container: works off what the gateways accept."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Mapping

import uvicorn
import uvloop
import valkey.asyncio
from fastapi import FastAPI
from lightkube import AsyncClient
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from recstack_gateway import problems
from recstack_gateway.catalog import Raw
from recstack_gateway.configmaps import ClusterConfigMaps
from recstack_gateway.events.catalogs import Catalogs
from recstack_gateway.events.consumer import Consumer
from recstack_gateway.main import listen
from recstack_gateway.plan import Events
from recstack_gateway.plan_source import PlanSource
from recstack_gateway.problems import Problem
from recstack_gateway.settings import Settings, from_environment

STUCK_SECONDS = 60.0
"""A worker that has not looked for so long must be started again."""
SOCKET_SECONDS = 10.0
"""Longer than a read that waits for events."""


class _Known:
    """What the plan and its packages say."""

    def __init__(self, catalogs: Catalogs) -> None:
        self._catalogs = catalogs

    def settings(self) -> Events | None:
        """As ``Knowledge`` has it; nothing is worked off before there are items."""
        plan = self._catalogs.plan
        return plan.events if plan is not None and self._catalogs.ready.is_set() else None

    def item(self, item: int) -> Mapping[str, Raw] | None:
        """As ``Knowledge`` has it."""
        return self._catalogs.get(item)


async def work(settings: Settings) -> None:
    """Run until a signal, or until a task ends by an error that nobody foresaw."""
    assert settings.valkey_url is not None, "VALKEY_URL is not set"
    catalogs = Catalogs(settings.packages)
    kubernetes = AsyncClient()
    source = PlanSource(
        ClusterConfigMaps(kubernetes, settings.namespace),
        settings.plan_name,
        settings.plan_file,
        catalogs.take,
    )
    client = valkey.asyncio.Valkey.from_url(
        settings.valkey_url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=1.0
    )
    consumer = Consumer(client, settings.scope, socket.gethostname(), _Known(catalogs))
    tasks = [asyncio.create_task(one) for one in (source.run(), catalogs.run(), consumer.run())]

    async def healthz(request: Request) -> Response:
        """Whether this process moves."""
        if any(task.done() for task in tasks) or time.monotonic() - consumer.moved > STUCK_SECONDS:
            raise Problem(503, "a task of this process has ended or hangs; it must be started again")
        return JSONResponse({"status": "ok"})

    async def metrics(request: Request) -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    app = FastAPI(title="recstack events", version="1", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(Problem, problems.handle)
    app.add_api_route("/healthz", healthz, response_class=Response)
    app.add_api_route("/metrics", metrics, response_class=Response)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    try:
        await uvicorn.Server(config).serve([listen(settings.port)])
    finally:
        consumer.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()
        await kubernetes.close()


def main() -> None:
    """Start with the pod's environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn takes these, shuts down, and raises them again: what must still be closed would not be.
        signal.signal(number, lambda *_: None)
    uvloop.run(work(from_environment()))


if __name__ == "__main__":
    main()
