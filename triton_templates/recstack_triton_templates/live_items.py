"""The items' features as the online store has them, in memory; whoever changes one is followed in seconds.

The server tells which keys change (client-side caching in broadcast mode, ``CLIENT TRACKING … BCAST``,
https://valkey.io/topics/client-side-caching/) to a connection that only listens; what it names is read again,
goes through the version's own transforms, and takes its place in a new table that replaces the one before: a
request sees one of them whole. What is not in the online store stays as in the package. Embeddings and index
are the model's and stay, too: what changes are the features that candidates are ranked by.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from threading import Event, Thread
from typing import Any

import numpy as np
import valkey

from recstack_triton_templates import feast_keys
from recstack_triton_templates.feast_keys import Value
from recstack_triton_templates.feast_view import FeastView, Row
from recstack_triton_templates.stages.feast_item_lookup import ItemTable
from recstack_triton_templates.stages.nvt_transform import Transforms
from recstack_triton_templates.stages.transforms import Array

CHUNK = 200
"""Rows of one round trip; between two of them requests have the interpreter for as long as they took."""
GATHER = 0.25
"""Seconds from the first key named until what was named meanwhile is read, all at once."""
TICK = 1.0
"""Seconds between two looks at what nobody names: the connection, and rows whose time is over."""
TIMEOUT = 5.0
"""Seconds that this side waits for Valkey; no request waits for it."""
AGAIN = 1.0
"""Seconds until a lost connection is made again."""
INVALIDATE = b"__redis__:invalidate"

Connection = Any
"""``valkey.connection.AbstractConnection``, whose methods have no types."""


class LiveTable:
    """An item table of which rows are replaced; the package's rows are kept beside it.

    Args:
        package: the package's, of which all columns but those of ``transforms`` stay.
        view: the online store's rows.
        transforms: from raw columns to features; those that are made of the view's columns count.
    """

    def __init__(self, package: ItemTable, view: FeastView, transforms: Transforms) -> None:
        self._package, self.view, self._transforms = package, view, transforms
        self.ids = package.ids
        self._until = np.full(len(package.ids), np.inf)
        self._features = transforms.of(view.columns)
        self._next: dict[str, Array] = {}
        self.current = package

    def rows_of(self, keys: Iterable[bytes]) -> Array:
        """Rows [n] of the catalog that the keys are of; others are left out."""
        found = (feast_keys.entity_id(key, self.view.project, self.view.join_key) for key in keys)
        ids = np.array(sorted({one for one in found if one is not None}), np.int64)
        rows = np.searchsorted(self.ids, ids)
        rows = np.minimum(rows, len(self.ids) - 1)
        known: Array = rows[self.ids[rows] == ids]
        return known

    def expired(self, now: float) -> Array:
        """Rows whose time online is over."""
        return np.flatnonzero(self._until < now)

    def put(self, rows: Array, found: Sequence[Row | None]) -> None:
        """What is online of catalog rows [n], for the next table; None: as in the package."""
        if not self._next:
            self._next = {name: self.current.column(name).copy() for name in self._features}
        columns = self._package(rows)
        until = np.array([np.inf if one is None else one.until for one in found])
        alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for place, one in enumerate(found):
            if one is not None:
                kinds = tuple((name, type(value)) for name, value in one.values.items())
                alike[kinds].append(place)
        for kinds, places in alike.items():
            values = {
                name: _array([one.values[name] for place in places if (one := found[place])], kind)
                for name, kind in kinds
            }
            encoded = self._transforms(values)
            for name in self._transforms.of(values):
                columns[name][places] = encoded[name]
        for name, whole in self._next.items():
            whole[rows] = columns[name]
        self._until[rows] = until

    def publish(self) -> None:
        """What was put becomes what is served."""
        self.current, self._next = self.current.replaced(self._next), {}


def _array(values: list[Value], kind: type) -> Array:
    return np.array(values, dtype=object if kind is type(None) else None)


class LiveItems:
    """Keeps a table at what the online store says, in a thread of its own.

    ``clock``: seconds since 1970, UTC. ``log``: is told why it cannot.
    """

    def __init__(
        self, url: str, table: LiveTable, clock: Callable[[], float], log: Callable[[str], None]
    ) -> None:
        self._table, self._view, self._ids = table, table.view, table.ids
        self._clock, self._log = clock, log
        pool: Any = valkey.ConnectionPool
        self._pool = pool.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, protocol=2)
        self._stop = Event()
        self._thread = Thread(target=self._run, name="live-items", daemon=True)

    @property
    def current(self) -> ItemTable:
        """The table as of now."""
        return self._table.current

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(TIMEOUT)

    def _run(self) -> None:
        while not self._stop.is_set():
            connections = [self._pool.make_connection() for _ in range(2)]
            try:
                self._follow(*connections)
            except (valkey.ValkeyError, OSError) as error:
                self._log(f"items are as they were last read, trying again: {error}")
                self._stop.wait(AGAIN)
            finally:
                for one in connections:
                    one.disconnect()

    def _follow(self, listener: Connection, reader: Connection) -> None:
        """Read all, then what is named, until a connection is lost or the process ends.

        These are bare connections, as a client would connect anew and be told of nothing any more.
        """
        listener.connect()
        reader.connect()
        address = _ask(listener, "CLIENT", "ID")
        _ask(listener, "SUBSCRIBE", INVALIDATE)
        prefix = feast_keys.key_prefix(self._view.join_key)
        _ask(reader, "CLIENT", "TRACKING", "ON", "REDIRECT", address, "BCAST", "PREFIX", prefix)
        self._read(reader, np.arange(len(self._ids)))
        while not self._stop.is_set():
            named = self._named(listener)
            rows = np.arange(len(self._ids)) if named is None else self._table.rows_of(named)
            self._read(reader, np.union1d(rows, self._table.expired(self._clock())))
            _ask(reader, "PING")

    def _named(self, listener: Connection) -> set[bytes] | None:
        """Keys that changed until now, after a tick at most; None: all of them."""
        named: set[bytes] = set()
        if not listener.can_read(TICK):
            return named
        self._stop.wait(GATHER)
        end = time.monotonic() + TICK
        while time.monotonic() < end and listener.can_read(0):
            keys = listener.read_response()[2]
            if keys is None:
                return None
            named.update(keys)
        return named

    def _read(self, reader: Connection, rows: Array) -> None:
        published = time.monotonic()
        for start in range(0, len(rows), CHUNK):
            if self._stop.is_set():
                return
            began = time.perf_counter()
            chunk = rows[start : start + CHUNK]
            commands = [self._view.command(one) for one in self._ids[chunk].tolist()]
            reader.send_packed_command(reader.pack_commands(commands))
            replies = [_reply(reader) for _ in commands]
            now = self._clock()
            self._table.put(chunk, [one and self._view.row(one, now) for one in replies])
            if start + CHUNK >= len(rows) or time.monotonic() > published + TICK:
                self._table.publish()
                published = time.monotonic()
            self._stop.wait(time.perf_counter() - began)


def _reply(connection: Connection) -> Any:
    """A row's values; None where something else lies under its key."""
    try:
        return connection.read_response()
    except valkey.ResponseError:
        return None


def _ask(connection: Connection, *words: Any) -> Any:
    connection.send_command(*words)
    return connection.read_response()
