"""The gateway's side of events: what it writes into Valkey, tells of a user, and forgets."""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import valkey.asyncio
from recstack_triton_templates import feast_keys
from recstack_triton_templates.event_keys import EventKeys, forgotten
from recstack_triton_templates.feast_keys import Value
from recstack_triton_templates.seen_keys import SeenKeys
from valkey import ValkeyError
from valkey.exceptions import ResponseError

from recstack_gateway import seen
from recstack_gateway.errors import Unavailable
from recstack_gateway.events import behaviour
from recstack_gateway.events.event import Event, to_fields
from recstack_gateway.plan import Behaviour

TIMEOUT = 0.5
EVENT_SECONDS = 86_400
"""How long an event id is remembered: a sender that tries again later than this counts as new."""
PROBE_SECONDS = 60.0
"""How often it is asked whether the server has a Bloom module; it may be another server by then."""
FORGOTTEN_SECONDS = 86_400
"""How long it is remembered which rows were forgotten, for a materialization that read them before."""
SCAN = 1000
"""Entries that are read at once to find those of a user."""
Words = Sequence[str | int]
_UNSAY = """
-- Online and offline at once: a row that an event writes meanwhile is in both or in neither.
-- KEYS: a row of the feature store, rows that go offline, rows that were forgotten lately.
-- ARGV: user, now, how long the last are kept, what says this one, field of the row's time, fields that go.
redis.call('HDEL', KEYS[1], unpack(ARGV, 6))
if redis.call('HLEN', KEYS[1]) == redis.call('HEXISTS', KEYS[1], ARGV[5]) then
  redis.call('DEL', KEYS[1])
end
redis.call('XADD', KEYS[2], '*', 'forget', ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[2] - ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
"""
_ONCE = """
-- Of each key that is new, run its commands; of BF.INSERT and the next one the first that succeeds.
-- ARGV: seconds; of each key: count, and of each command: words, word…
local at, new = 2, {}
for i, key in ipairs(KEYS) do
  local count = tonumber(ARGV[at])
  local fresh = redis.call('SET', key, 1, 'NX', 'EX', ARGV[1])
  new[i] = fresh and 1 or 0
  at = at + 1
  local done = false
  for _ = 1, count do
    local words = tonumber(ARGV[at])
    if done then
      done = false
    elseif fresh and ARGV[at + 1] == 'BF.INSERT' then
      done = type(redis.pcall(unpack(ARGV, at + 1, at + words))[1]) == 'number'
    elseif fresh then
      redis.call(unpack(ARGV, at + 1, at + words))
    end
    at = at + 1 + words
  end
end
return new
"""


class Accepted(NamedTuple):
    """Of a batch: events that were new, and those of them that a user did."""

    new: int
    marked: int


class State(NamedTuple):
    """What is kept of a user: items and when, seconds since 1970, latest first; filters; events that wait.

    ``behaviour``: events that features follow from; ``features``: what followed, by column; ``offline``: rows
    of them that are on their way to the offline store, and, after the user was forgotten, out of it.
    """

    recent: list[tuple[int, float]]
    filters: int
    waiting: int
    behaviour: int
    features: dict[str, Value]
    offline: int


class EventWriter:
    """Accepts events, forgets users. Make it inside the event loop."""

    def __init__(self, url: str, scope: str, clock: Callable[[], float] = time.time) -> None:
        self._client = valkey.asyncio.Valkey.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry_on_error=[ConnectionError]
        )
        self._once, self._unsay = (self._client.register_script(one) for one in (_ONCE, _UNSAY))
        self._keys, self._clock = EventKeys(scope), clock
        self._native, self._probe_at = False, 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def accept(self, events: Iterable[Event], *, marks: SeenKeys | None, stream: bool) -> Accepted:
        """Mark the items of new events as seen and put the events into the stream, wholly or not at all.

        An event older than the filter's TTL marks nothing; one from the future counts as of now.

        Args:
            events: in any order; of one id only the first counts, now and for a day.
            marks: where it is kept what was seen; None: nowhere.
            stream: whether somebody works the stream off.

        Raises:
            Unavailable: Valkey does not answer; send the events again.
        """
        now = self._clock()
        known = [replace(event, seconds=min(event.seconds, now)) for event in events]
        if not known:
            return Accepted(0, 0)
        native = marks is not None and await self._has_filters(now)
        words: list[str | int] = [EVENT_SECONDS]
        for event in known:
            commands: list[Words] = []
            if marks is not None and event.user is not None:
                commands += seen.marks(marks, event.user, event.item, event.seconds, now, native=native)
            if stream:
                fields = [word for pair in to_fields(event).items() for word in pair]
                commands.append(["XADD", self._keys.stream(), "*", *fields])
            words.append(len(commands))
            for command in commands:
                words += [len(command), *command]
        new = await self._run([self._keys.known(event.id) for event in known], words)
        users = sum(fresh for event, fresh in zip(known, new, strict=True) if event.user is not None)
        return Accepted(sum(new), users)

    async def _has_filters(self, now: float) -> bool:
        """Whether the server has a Bloom module, as far as is known."""
        if now >= self._probe_at:
            try:
                await cast(Awaitable[Any], self._client.execute_command(*seen.PROBE))
                self._native = True
            except ResponseError:
                self._native = False
            except (ValkeyError, OSError) as error:
                raise Unavailable(f"Valkey: {error}; send the events again") from error
            self._probe_at = now + PROBE_SECONDS
        return self._native

    async def _run(self, keys: list[str], words: list[str | int]) -> list[int]:
        try:
            return cast(list[int], await self._once(keys=keys, args=cast(list[Any], words)))
        except (ValkeyError, OSError) as error:
            raise Unavailable(f"Valkey: {error}; send the events again") from error

    async def state(self, marks: SeenKeys, user: int, follows: Behaviour | None) -> State:
        """What is kept of ``user``; ``follows``: as the plan has it.

        Raises:
            Unavailable: Valkey does not answer.
        """
        try:
            found: Any = await self._client.zrevrange(self._keys.recent(user), 0, -1, withscores=True)
            filters = cast(int, await self._client.exists(*_filters(marks, user, self._clock())))
            waiting = [entry async for batch in self._waiting(user) for entry in batch]
            behaved = cast(int, await self._client.zcard(self._keys.behaviour(user)))
            features: dict[str, Value] = {}
            offline = [entry async for batch in self._offline(user) for entry in batch]
            if follows is not None and follows.derived:
                words = ("HMGET", behaviour.row(follows, user), *behaviour.fields(follows))
                contents: Any = await self._client.execute_command(*words)
                pairs = zip(follows.derived, contents, strict=True)
                features = {column: _told(content) for column, content in pairs if content is not None}
        except (ValkeyError, OSError) as error:
            raise Unavailable(f"Valkey: {error}; ask again") from error
        recent = [(int(member), float(score)) for member, score in found]
        return State(recent, filters, len(waiting), behaved, features, len(offline))

    async def forget(self, marks: SeenKeys, user: int, follows: Behaviour | None) -> None:
        """Delete all that is kept of ``user``: filters, recent items, events that wait or were put aside.

        Of the row in the feature store the columns that follow from behaviour go, and all when nothing but
        its time is left. Rows in the offline store go a moment later: ``State.offline`` tells when.

        An event that a worker holds does nothing any more once this returns: its effects look for it first.

        Raises:
            Unavailable: Valkey does not answer.
        """
        try:
            async for batch in self._waiting(user):
                for stream, entry in batch:
                    await self._client.xdel(stream, entry)
            # After the events: one of them may have been worked off meanwhile.
            filters = _filters(marks, user, self._clock())
            await self._client.delete(*filters, self._keys.recent(user), self._keys.behaviour(user))
            if follows is not None:
                row, gone = behaviour.row(follows, user), [behaviour.STAMP, *behaviour.fields(follows)]
                said = " ".join(one.hex() for one in (row, *gone))
                keys = [row, self._keys.rows(), forgotten(follows.project)]
                await self._unsay(keys=keys, args=[user, self._clock(), FORGOTTEN_SECONDS, said, *gone])
        except (ValkeyError, OSError) as error:
            raise Unavailable(f"Valkey: {error}; ask again") from error

    async def _waiting(self, user: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        """Entries of ``user`` in the stream and among the dead letters, in batches as they are read."""
        for stream in (self._keys.stream(), self._keys.dead()):
            async for batch in self._entries(stream, user, (b"user",)):
                yield batch

    def _offline(self, user: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        """Rows of ``user`` that are not offline yet, and orders to forget those that are."""
        return self._entries(self._keys.rows(), user, (b"user", b"forget"))

    async def _entries(
        self, stream: str, user: int, named: Sequence[bytes]
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """Entries in which one of the fields ``named`` is ``user``."""
        name = str(user).encode()
        start: bytes | str = "-"
        while True:
            entries: Any = await self._client.xrange(stream, min=start, count=SCAN)
            yield [(stream, id_) for id_, fields in entries if name in map(fields.get, named)]
            if len(entries) < SCAN:
                break
            start = b"(" + entries[-1][0]


def _filters(keys: SeenKeys, user: int, now: float) -> list[str]:
    """Of both forms."""
    return [*keys.bitmaps(user, now), *keys.natives(user, now)]


def _told(content: bytes) -> Value:
    """A value as a reply can say it; of what cannot be read, that it is there."""
    try:
        value = feast_keys.decode(content)
    except ValueError:
        return None
    return (
        None if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)) else value
    )
