"""Leader election by a Lease, as client-go does it: one leads, the others stand by.

https://pkg.go.dev/k8s.io/client-go/tools/leaderelection. Who leads renews; whoever sees the same record for
``LEASE_SECONDS`` of its own clock takes over, so that no two machines' clocks need agree. A leader that could
not renew for ``RENEW_SECONDS`` ends its process at once, from a thread of its own that no stuck loop can hold
up. Its last request to the API server ends ``REQUEST_SECONDS`` later at most, before anybody else may lead:
no two write. Before each write the same is checked, as a process that was paused may wake in any thread.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from recstack_controllers.kit.cluster import ClusterError

LOG = logging.getLogger(__name__)
LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 10, 6.0, 2.0
STANDBY_SECONDS = 1.0
"""Between looks of one who stands by: a Lease that was given back is taken within it."""
REQUEST_SECONDS = 3.5
LOST = 70
"""Exit status of a process that led and could not renew."""

Record = dict[str, Any]


class Leases(Protocol):
    """The one Lease of the operator. All raise ClusterError."""

    async def get(self) -> Record | None:
        """As it is; None: there is none."""

    async def create(self, spec: Record) -> None:
        """Make it. 409: somebody was faster."""

    async def replace(self, lease: Record) -> None:
        """Write it back. 409: it was written meanwhile."""


@dataclass
class _Seen:
    spec: Record
    at: float


class Election:
    """Acquires and renews. ``die`` ends the process at once; ``monotonic`` in seconds."""

    def __init__(
        self,
        leases: Leases,
        identity: str,
        *,
        die: Callable[[], None] = lambda: os._exit(LOST),
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._leases, self._identity, self._die = leases, identity, die
        self._monotonic, self._wall, self._sleep = monotonic, wall, sleep
        self._seen: _Seen | None = None
        self._renewed: float | None = None
        self._released = threading.Event()

    @property
    def leading(self) -> bool:
        """Whether this process leads."""
        return self._renewed is not None and not self._released.is_set()

    async def acquire(self) -> None:
        """Return when this process leads."""
        while not await self._try():
            await self._sleep(STANDBY_SECONDS)
        LOG.info("%s leads", self._identity)
        threading.Thread(target=self._watchdog, daemon=True, name="lease-watchdog").start()

    def check(self) -> None:
        """To be called before each write: ends the process where another may lead by now."""
        if self._lapsed():
            LOG.error("the Lease was not renewed for %s s, so nothing may be written: ending", RENEW_SECONDS)
            self._die()

    async def renew(self) -> None:
        """Renew for ever."""
        while not self._released.is_set():
            await self._sleep(RETRY_SECONDS)
            await self._try()

    async def release(self) -> None:
        """Let another lead at once; only when nothing is being written any more."""
        if not self.leading:
            return
        self._released.set()
        try:
            lease = await self._leases.get()
            spec: Record = (lease or {}).get("spec") or {}
            if lease is not None and spec.get("holderIdentity") == self._identity:
                lease["spec"] = spec | {
                    "holderIdentity": "",
                    "leaseDurationSeconds": 1,
                    "renewTime": self._now(),
                }
                await self._leases.replace(lease)
        except ClusterError as error:
            LOG.warning("the Lease could not be given back, another leads after it has run out: %s", error)

    async def _try(self) -> bool:
        """One try to get or to keep the Lease."""
        begun = self._monotonic()
        try:
            lease = await self._leases.get()
            if lease is None:
                await self._leases.create(self._spec(None))
            else:
                spec: Record = lease.get("spec") or {}  # one that a person made may have none
                self._look(spec)
                if not self._may_take(spec):
                    if self.leading:  # somebody took it: this process was thought dead
                        self._die()
                    return False
                lease["spec"] = self._spec(spec)
                await self._leases.replace(lease)
        except ClusterError as error:
            if error.status != 409:
                LOG.warning("the Lease cannot be %s: %s", "renewed" if self.leading else "taken", error)
            return False
        # From when the request was sent: others may have seen it that early.
        self._renewed = begun
        return True

    def _look(self, spec: Record) -> None:
        if self._seen is None or self._seen.spec != spec:
            self._seen = _Seen(dict(spec), self._monotonic())

    def _may_take(self, spec: Record) -> bool:
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        assert self._seen is not None
        lasts: float = spec.get("leaseDurationSeconds") or LEASE_SECONDS
        return self._monotonic() - self._seen.at >= lasts

    def _spec(self, before: Record | None) -> Record:
        same = before is not None and before.get("holderIdentity") == self._identity
        transitions = (before or {}).get("leaseTransitions") or 0
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": (before.get("acquireTime") if before is not None and same else None)
            or self._now(),
            "renewTime": self._now(),
            "leaseTransitions": transitions if same or before is None else transitions + 1,
        }

    def _now(self) -> str:
        return self._wall().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _watchdog(self) -> None:
        while not self._released.wait(0.2):
            if self._lapsed():
                LOG.error(
                    "the Lease was not renewed for %s s: ending, so that another may lead", RENEW_SECONDS
                )
                self._die()
                return

    def _lapsed(self) -> bool:
        return self._renewed is None or self._monotonic() - self._renewed > RENEW_SECONDS
