"""Works off the stream of events: reads as one of a group, takes over what others left, blocks on nothing."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import valkey.asyncio
from recstack_triton_templates.event_keys import GROUP, EventKeys
from valkey import ValkeyError
from valkey.exceptions import ResponseError

from recstack_gateway.catalog import Raw
from recstack_gateway.events import metrics
from recstack_gateway.events.effects import Effects, Entry
from recstack_gateway.events.event import Event, from_fields
from recstack_gateway.plan import Events

_LOG = logging.getLogger(__name__)
BATCH = 200
"""Entries of a read: Valkey works for nobody else while it runs an entry's script, between them it does."""
BLOCK_MILLISECONDS = 1000
IDLE_MILLISECONDS = 10_000
"""An entry that its consumer has held this long is taken over."""
CLAIM_SECONDS = 5.0
RETRY_SECONDS = 0.5


class Knowledge(Protocol):
    """What the consumer asks while it works."""

    def settings(self) -> Events | None:
        """Of the plan; None: events are off."""
        ...

    def item(self, item: int) -> Mapping[str, Raw] | None:
        """Raw values of an item; None: there is none."""
        ...


class Consumer:
    """One member of the group. ``name``: its own; a process that comes back under it goes on where it was."""

    def __init__(
        self,
        client: "valkey.asyncio.Valkey",
        scope: str,
        name: str,
        knowledge: Knowledge,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._name, self._knowledge, self._monotonic = client, name, knowledge, monotonic
        self._stream = EventKeys(scope).stream()
        self._effects = Effects(client, scope)
        self._claim_at = 0.0
        self._stopped = False
        self.moved = monotonic()
        """When it last looked, by the monotonic clock, seconds."""

    def stop(self) -> None:
        """Let :meth:`run` end. Cancel it, too: of the client a cancellation may be swallowed."""
        self._stopped = True

    async def run(self) -> None:
        """Until stopped or cancelled; an outage of Valkey is waited out."""
        own = True
        while not self._stopped:
            self.moved = self._monotonic()
            try:
                own = await self.turn(own=own)
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    _LOG.error("Valkey refuses: %s", error)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    await self._make_group()
                own = True
            except (ValkeyError, OSError) as error:
                _LOG.warning("Valkey: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                own = True

    async def turn(self, *, own: bool) -> bool:
        """One look; ``own``: at what this consumer was given before. Gives whether there may be more of that.

        Raises:
            ValkeyError, OSError: Valkey does not answer; nothing is lost, look at your own next.
        """
        settings = self._knowledge.settings()
        if settings is None:
            await asyncio.sleep(RETRY_SECONDS)
            return own
        if own:
            # Whatever is done leaves this list, so its beginning is always the rest.
            entries = await self._read("0", None)
            await self._work(entries, settings)
            return bool(entries)
        if self._monotonic() >= self._claim_at:
            self._claim_at = self._monotonic() + CLAIM_SECONDS
            await self._work(await self._claim(), settings)
            await self._measure()
        await self._work(await self._read(">", BLOCK_MILLISECONDS), settings)
        return False

    async def _read(self, start: str, block: int | None) -> list[Entry]:
        found: Any = await self._client.xreadgroup(
            GROUP, self._name, {self._stream: start}, count=BATCH, block=block
        )
        entries = found[0][1] if found else []
        missing = [id_ for id_, fields in entries if not fields]
        if missing:  # deleted since they were given to us
            await self._client.xack(self._stream, GROUP, *missing)
        return [(id_, fields) for id_, fields in entries if fields]

    async def _claim(self) -> list[Entry]:
        found: Any = await self._client.xautoclaim(
            self._stream, GROUP, self._name, IDLE_MILLISECONDS, "0-0", count=BATCH
        )
        return [(id_, fields) for id_, fields in found[1] if fields]

    async def _work(self, entries: list[Entry], settings: Events) -> None:
        good: list[tuple[Entry, Event, Mapping[str, Raw]]] = []
        for entry in entries:
            try:
                event = from_fields(entry[1])
            except ValueError as error:
                await self._bury(entry, "unreadable", f"unreadable: {error}", settings)
                continue
            values = self._knowledge.item(event.item)
            if values is None:
                await self._bury(entry, "unknown_item", "no planned version has this item", settings)
                continue
            good.append((entry, event, values))
        if not good:
            return
        calls = [(entry[0], event, values) for entry, event, values in good]
        blames = await self._effects.apply(calls, settings)
        for (entry, _, _), blame in zip(good, blames, strict=True):
            if blame is None:
                metrics.PROCESSED.inc()
            else:
                await self._bury(entry, "refused", f"Valkey refuses its effects: {blame}", settings)

    async def _bury(self, entry: Entry, kind: str, reason: str, settings: Events) -> None:
        _LOG.warning("event entry %s: %s", entry[0].decode(), reason)
        await self._effects.bury(entry, reason, settings.retention_seconds)
        metrics.POISONED.labels(kind).inc()

    async def _measure(self) -> None:
        metrics.LAG.set(await self._client.xlen(self._stream))
        first: Any = await self._client.xrange(self._stream, count=1)
        seconds = time.time() - int(first[0][0].split(b"-")[0]) / 1000 if first else 0.0
        metrics.LAG_SECONDS.set(max(0.0, seconds))

    async def _make_group(self) -> None:
        try:
            await self._client.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
