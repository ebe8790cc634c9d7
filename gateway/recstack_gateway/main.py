"""Entry of the ``gateway`` container."""

import asyncio
import logging
import signal
import socket

import uvicorn
import uvloop
from lightkube import AsyncClient

from recstack_gateway.api import Api
from recstack_gateway.configmaps import ClusterConfigMaps
from recstack_gateway.events.writer import EventWriter
from recstack_gateway.leaving import Leaving, Server
from recstack_gateway.loader import Loader
from recstack_gateway.plan_source import PlanSource
from recstack_gateway.settings import Settings, from_environment
from recstack_gateway.telemetry import Telemetry, provider
from recstack_gateway.triton import GrpcTriton
from recstack_gateway.versions import Versions


async def serve(settings: Settings) -> None:
    """Run until a signal; requests that are under way are answered first."""
    traces = provider()
    telemetry = Telemetry(traces.get_tracer("recstack_gateway") if traces else None)
    triton = GrpcTriton(f"127.0.0.1:{settings.triton_grpc_port}", telemetry)
    client = AsyncClient()
    configmaps = ClusterConfigMaps(client, settings.namespace)
    loader = Loader(triton, configmaps.binary, settings.models, nvtabular=settings.nvtabular)
    versions = Versions(triton, loader, settings.surge)
    events = EventWriter(settings.valkey_url, settings.scope) if settings.valkey_url else None
    plans = asyncio.create_task(
        PlanSource(configmaps, settings.plan_name, settings.plan_file, versions.take).run()
    )

    def alive() -> bool:
        return not (plans.done() or versions.broken)

    app = Leaving(Api(versions, events, settings.scope, alive, telemetry).app())
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, proxy_headers=False, timeout_graceful_shutdown=10
    )
    try:
        await Server(config, app).serve([listen(settings.port)])
    finally:
        plans.cancel()
        await asyncio.gather(plans, return_exceptions=True)
        await versions.close()
        if events is not None:
            await events.close()
        await client.close()
        await triton.close()
        if traces is not None:
            await asyncio.to_thread(traces.shutdown)


def listen(port: int) -> socket.socket:
    """All addresses of the pod, IPv6 included where there is any."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=2048)


def main() -> None:
    """Start with the pod's environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn takes these, shuts down, and raises them again: what must still be closed would not be.
        signal.signal(number, lambda *_: None)
    uvloop.run(serve(from_environment()))


if __name__ == "__main__":
    main()
