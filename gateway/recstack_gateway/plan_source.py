"""Where plans come from: the API server; while that is away, the file that the kubelet mounted."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from recstack_gateway import plan
from recstack_gateway.configmaps import ConfigMaps
from recstack_gateway.errors import Unavailable
from recstack_gateway.plan import Plan
from recstack_gateway.settings import PLAN_KEY

_LOG = logging.getLogger(__name__)
RETRY_SECONDS = 2.0


class PlanSource:
    """Calls ``take`` with every new plan; a plan that cannot be read changes nothing."""

    def __init__(self, configmaps: ConfigMaps, name: str, file: Path, take: Callable[[Plan], None]) -> None:
        self._configmaps, self._name, self._file, self._take = configmaps, name, file, take
        self._last: Plan | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async for data in self._configmaps.watch(self._name):
                    self._offer(data.get(PLAN_KEY, ""), newer=False)
            except Unavailable as error:
                _LOG.warning("no plan from the API server: %s", error)
                self._read_file()
                await asyncio.sleep(RETRY_SECONDS)

    def _read_file(self) -> None:
        try:
            content = self._file.read_text()
        except OSError:
            return
        self._offer(content, newer=True)

    def _offer(self, content: str, newer: bool) -> None:
        """``newer``: the file lags behind the API server, so it counts only with a higher generation."""
        try:
            offered = plan.parse(content)
        except ValueError as error:
            _LOG.error("%s; the last good plan stays", error)
            return
        last = self._last
        if offered == last or (newer and last is not None and offered.generation <= last.generation):
            return
        self._last = offered
        _LOG.info("plan %d: live %s", offered.generation, offered.live)
        self._take(offered)
