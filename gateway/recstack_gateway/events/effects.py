"""What an event does in Valkey, as one script: at-least-once delivery, and each effect once (docs/adr)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import valkey.asyncio
from recstack_triton_templates.event_keys import GROUP, EventKeys
from recstack_triton_templates.trending_keys import KEPT, VALUE_CHARACTERS, TrendingKeys, text
from valkey import ValkeyError
from valkey.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError

from recstack_gateway.catalog import Raw
from recstack_gateway.events import behaviour
from recstack_gateway.events.event import Event
from recstack_gateway.plan import Events

DEAD_KEPT = 10_000
"""Events in the dead-letter stream at most; older ones go."""
EXPONENT = 256
"""Half-lives after which a list's landmark moves: weights of 1e6 times 2 ** 256 are far from 2 ** 1024."""
LEAST = 1e-18
"""A weight that counts for nothing."""
EXPIRY_HALF_LIVES = 64
"""A list in which nothing was counted for so long is gone."""
_APPLY = "".join(Path(__file__).with_name(name).read_text() for name in ("behaviour.lua", "effects.lua"))
_BURY = """
-- KEYS: stream, dead letters. ARGV: group, entry, most kept, fields…
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if redis.call('XDEL', KEYS[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(ARGV, 4))
return 1
"""
Entry = tuple[bytes, Mapping[bytes, bytes]]


class Effects:
    """Of the events of one stack. ``client`` answers in bytes."""

    def __init__(self, client: "valkey.asyncio.Valkey", scope: str) -> None:
        self._client = client
        self._keys, self._lists = EventKeys(scope), TrendingKeys(scope)
        self._apply, self._bury = client.register_script(_APPLY), client.register_script(_BURY)

    async def apply(
        self, events: Sequence[tuple[bytes, Event, Mapping[str, Raw]]], settings: Events
    ) -> list[ResponseError | None]:
        """Apply entries, each with its event and its item's values; gives what was wrong with each.

        An entry that is not in the stream any more does nothing.

        Raises:
            ValkeyError, OSError: Valkey does not answer; some may have been applied, none partly.
        """
        pipeline = self._client.pipeline(transaction=False)
        for entry, event, values in events:
            keys, argument = self._call(entry, event, values, settings)
            await self._apply(keys=keys, args=[json.dumps(argument)], client=pipeline)
        results = await pipeline.execute(raise_on_error=False)
        return [_blame(one) for one in results]

    def _call(
        self, entry: bytes, event: Event, values: Mapping[str, Raw], settings: Events
    ) -> tuple[list[str | bytes], dict[str, Any]]:
        recent = behaving = row = b""
        argument: dict[str, Any] = {}
        if event.user is not None:
            recent = self._keys.recent(event.user).encode()
            if settings.behaviour is not None and settings.weight(event.type) > 0:
                behaving = self._keys.behaviour(event.user).encode()
                row = behaviour.row(settings.behaviour, event.user)
                argument["behaviour"] = behaviour.argument(settings.behaviour, event.user, entry, values)
        lists = [self._lists.everywhere()]
        lists += [
            self._lists.among(column, values[column])
            for column in settings.trending_by
            if column in values and len(text(values[column])) <= VALUE_CHARACTERS
        ]
        half = settings.trending_half_life_seconds
        argument |= {
            "group": GROUP,
            "entry": entry.decode(),
            "item": str(event.item),
            "at": repr(event.seconds),
            "weight": settings.weight(event.type),
            "half": half,
            "exponent": EXPONENT,
            "least": LEAST,
            "kept": KEPT,
            "expiry": int(EXPIRY_HALF_LIVES * half),
            "recent": settings.recent_items,
            "retention": settings.retention_seconds,
        }
        rows = self._keys.rows()
        return [self._keys.stream(), self._lists.landmarks(), recent, behaving, row, rows, *lists], argument

    async def bury(self, entry: Entry, reason: str, retention: int) -> None:
        """Move an entry that cannot be worked off to the dead letters.

        Raises:
            ValkeyError, OSError: Valkey does not answer; it is where it was.
        """
        id_, fields = entry
        words: list[Any] = [GROUP, id_, DEAD_KEPT]
        words += [word for pair in fields.items() for word in pair]
        dead = self._keys.dead()
        await self._bury(keys=[self._keys.stream(), dead], args=[*words, "reason", reason])
        await self._client.expire(dead, retention)


def _blame(result: Any) -> ResponseError | None:
    """An error that is the entry's own; one of the server is raised, as it may be gone the next time."""
    if not isinstance(result, Exception):
        return None
    if isinstance(result, (OutOfMemoryError, ReadOnlyError, NoScriptError)):
        raise result
    if isinstance(result, ResponseError):
        return result
    raise cast(ValkeyError, result)
