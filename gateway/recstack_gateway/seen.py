"""Writes what users saw into Valkey."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
import valkey.asyncio
from recstack_triton_templates.seen_keys import SeenKeys
from valkey import ValkeyError

from recstack_gateway.errors import Unavailable

TIMEOUT = 0.5
EVENT_SECONDS = 86_400
"""How long an event id is remembered: a sender that tries again later than this counts as new."""

Event = tuple[str, int, int, float]
"""Event id, user, item, time in seconds since 1970."""


class SeenWriter:
    """Marks items as seen, forgets users. Make it inside the event loop."""

    def __init__(self, url: str, scope: str, clock: Callable[[], float] = time.time) -> None:
        self._client = valkey.asyncio.Valkey.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry_on_error=[ConnectionError]
        )
        self._scope, self._clock = scope, clock

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def mark(self, keys: SeenKeys, events: Iterable[Event]) -> int:
        """Mark the items of new events as seen, at once and wholly or not at all; returns how many were new.

        An event older than the TTL marks nothing; one from the future counts as of now.

        Raises:
            Unavailable: Valkey does not answer; nothing was marked, send the events again.
        """
        first = {event[0]: event for event in reversed(list(events))}
        names = {id_: f"recstack:event:{{{self._scope}}}:{id_}" for id_ in first}
        try:
            known = await self._client.mget(list(names.values())) if names else []
            new = [event for event, found in zip(first.values(), known, strict=True) if found is None]
            if new:
                await self._write(keys, new, [names[event[0]] for event in new])
        except (ValkeyError, OSError) as error:
            raise Unavailable(f"Valkey: {error}; send the events again") from error
        return len(new)

    async def _write(self, keys: SeenKeys, events: list[Event], names: list[str]) -> None:
        now = self._clock()
        items: dict[tuple[int, int], list[int]] = defaultdict(list)
        for _, user, item, seconds in events:
            items[user, keys.slice_of(min(seconds, now))].append(item)
        transaction = self._client.pipeline(transaction=True)
        for (user, part), ids in items.items():
            expiry = keys.expiry(part)
            if expiry <= now:
                continue
            key = keys.key(user, part)
            positions = keys.bloom.positions(np.array(ids, dtype=np.int64)).ravel().tolist()
            sets = [word for position in positions for word in ("SET", "u1", position, 1)]
            transaction.execute_command("BITFIELD", key, *sets)
            transaction.expireat(key, expiry)
        for name in names:
            transaction.set(name, 1, ex=EVENT_SECONDS)
        await transaction.execute()

    async def forget(self, keys: SeenKeys, user: int) -> int:
        """Delete all that is kept of ``user``; returns how many filters there were.

        Raises:
            Unavailable: Valkey does not answer.
        """
        try:
            return cast(int, await self._client.delete(*keys.readable(user, self._clock())))
        except (ValkeyError, OSError) as error:
            raise Unavailable(f"Valkey: {error}; ask again") from error
