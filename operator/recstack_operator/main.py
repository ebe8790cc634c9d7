"""One process: it watches always, and reconciles while it leads."""

import asyncio
import logging
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from aiohttp import web
from lightkube import AsyncClient
from recstack_controllers.kit.clock import SystemClock
from recstack_controllers.kit.cluster import Kind
from recstack_controllers.kit.lightkube_cluster import LightkubeCluster

from recstack_operator import watches
from recstack_operator.audit import PERIOD, Audit
from recstack_operator.endpoints import application
from recstack_operator.keys import WATCHED, Key, Router
from recstack_operator.kubernetes_leases import KubernetesLeases
from recstack_operator.lease import REQUEST_SECONDS, Election
from recstack_operator.metrics import LEADER, QUEUE, ConditionGauge, Counted
from recstack_operator.options import Options, parse
from recstack_operator.queue import WorkQueue
from recstack_operator.remembered import Remembered
from recstack_operator.workers import Workers

LOG = logging.getLogger(__name__)
WORKERS = 4
STOP_SECONDS = 15.0
RETRY = 2.0


class Process:
    """Everything that one process runs."""

    def __init__(self, options: Options, client: AsyncClient) -> None:
        clock = SystemClock()
        self._options = options
        self._cluster = LightkubeCluster(client, clock)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._router, self._gauge = Router(), ConditionGauge()
        leases = KubernetesLeases(client, options.settings.operator_namespace, options.lease)
        self._election = Election(leases, options.identity)
        self._remembered = Remembered(Counted(self._cluster, self._election.check))
        self._workers = Workers(self._queue, self._remembered, clock, options.settings)
        self._audit = Audit(self._cluster, WATCHED, options.namespaces, time.monotonic)
        self._audited = False

    async def run(self) -> None:
        """Until SIGTERM; then what was begun is ended, and the Lease given back."""
        QUEUE.set_function(lambda: len(self._queue))
        LEADER.set_function(lambda: float(self._election.leading))
        runner = web.AppRunner(
            application(
                alive=[self._audit.stale, self._workers.stuck],
                ready=[lambda: None if self._audited else "the first look at the cluster is not done"],
            ),
            access_log=None,
        )
        await runner.setup()
        await web.TCPSite(runner, port=self._options.port).start()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        watching = watches.Watching(WATCHED, self._options.namespaces, self._observe)
        auditing = asyncio.create_task(self._audit_for_ever())
        leading = asyncio.create_task(self._lead())
        stopping = asyncio.create_task(stop.wait())
        ended = asyncio.create_task(watching.ended.wait())
        try:
            done, _ = await asyncio.wait(
                {stopping, ended, auditing, leading}, return_when=asyncio.FIRST_COMPLETED
            )
            if stopping not in done:
                for task in done:
                    task.result()
                raise RuntimeError("the watches have ended by themselves")
        finally:
            self._queue.close()
            for task in (stopping, ended, auditing):
                task.cancel()
            # What is under way may end; only then another may lead.
            await asyncio.wait({leading}, timeout=STOP_SECONDS)
            if leading.done():
                await self._election.release()
            leading.cancel()
            await watching.stop()
            await runner.cleanup()
            await self._cluster.aclose()

    async def _lead(self) -> None:
        """Wait to lead, then work until the queue is closed."""
        acquiring = asyncio.create_task(self._election.acquire())
        closing = asyncio.create_task(self._queue.closed())
        await asyncio.wait({acquiring, closing}, return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        if not acquiring.done():
            acquiring.cancel()
            return
        renewing = asyncio.create_task(self._election.renew())
        try:
            await asyncio.gather(*(self._workers.work() for _ in range(WORKERS)))
        finally:
            renewing.cancel()

    def _observe(self, kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
        """A watch told of an object."""
        self._audit.told(kind, body, deleted)
        self._mark(kind, body, deleted)

    def _mark(self, kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
        self._remembered.told(kind, body, deleted)
        if kind in watches.OWN:
            self._gauge.show(kind, body, deleted)
        for key in self._router.concerned(kind, body, deleted):
            self._queue.add(key)

    async def _audit_for_ever(self) -> None:
        while True:
            done = await self._audit.look(self._mark)
            self._audited = self._remembered.complete = self._audited or done
            await asyncio.sleep(PERIOD if done else RETRY)


async def _run(options: Options) -> None:
    # A request that outlives the Lease could write after another leads: it is cut off before.
    client = AsyncClient(timeout=httpx2.Timeout(REQUEST_SECONDS))
    await Process(options, client).run()


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; 0 when everything that was begun has ended."""
    options = parse(argv)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    # Their INFO tells of every request and of every object.
    for noisy in ("httpx2", "httpx", "kopf.objects", "kopf.activities"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    asyncio.run(_run(options))
    return 0
