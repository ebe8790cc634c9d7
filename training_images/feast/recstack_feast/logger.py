"""Rows of the feature store that changed while people were served, from their stream to the offline files.

What a row said when it was served is what a fine-tune trains on (``docs/spec/offline.md``). Every row of the
stream gets into one file: entries are acknowledged after their file is there, and what a process that was
killed had not acknowledged is read again and written as it was, so that the file has the same name.
"""

import argparse
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import redis
from recstack_triton_templates import feast_keys, feast_names
from recstack_triton_templates.event_keys import EventKeys

from recstack_feast import definitions, files
from recstack_feast.connection import client_url
from recstack_feast.definitions import CREATED, TIMESTAMP, Definitions, View
from recstack_feast.errors import BadInput

_LOG = logging.getLogger(__name__)
GROUP, CONSUMER = "offline", "logger"
"""There is one: its name stays, so that whoever comes after it takes over what it held."""
LIVE = "live-"
ROWS = 5000
"""Entries of a file at most."""
SECONDS = 300.0
"""An entry waits no longer for others; one to forget somebody does not wait."""
BLOCK_MILLISECONDS = 1000
RETRY_SECONDS = 5.0
SOCKET_SECONDS = 10.0
Entry = tuple[bytes, Mapping[bytes, bytes]]


class Logger:
    """Of one stack. ``repository``: folder of its definitions; ``scope``: ``namespace/stack``."""

    def __init__(
        self,
        client: "redis.Redis",
        scope: str,
        repository: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._repository, self._clock = client, repository, clock
        self._stream = EventKeys(scope).rows()
        self._held: list[Entry] = []
        self._resumed = False

    def turn(self) -> int:
        """Wait for entries a moment; write what has waited long enough. Gives the entries that are done.

        Raises:
            redis.RedisError, OSError, BadInput: nothing is lost; try again.
        """
        try:
            if not self._resumed:
                self._begin()
                if self._held:
                    return self._flush()  # with more the file would have another name
            if len(self._held) < ROWS:
                self._held += self._read(">", ROWS - len(self._held))
            return self._flush() if self._due() else 0
        except BaseException:
            self._held, self._resumed = [], False
            raise

    def _begin(self) -> None:
        """Hold again what was not acknowledged."""
        try:
            self._client.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._held = self._read("0", ROWS)
        self._resumed = True

    def _read(self, start: str, count: int) -> list[Entry]:
        block = BLOCK_MILLISECONDS if start == ">" else None
        found: Any = self._client.xreadgroup(GROUP, CONSUMER, {self._stream: start}, count=count, block=block)
        return list(found[0][1]) if found else []

    def _due(self) -> bool:
        if not self._held:
            return False
        age = self._clock() - int(self._held[0][0].split(b"-")[0]) / 1000
        return len(self._held) >= ROWS or age >= SECONDS or any(b"forget" in one for _, one in self._held)

    def _flush(self) -> int:
        found = definitions.read(self._repository)
        (view,) = (one for one in found.views if one.name == feast_names.USER_VIEW)
        folder = f"{found.offline}/{view.name}"
        first, last = self._held[0][0].decode(), self._held[-1][0].decode()
        name = f"{LIVE}{first}-{last}{files.SUFFIX}"
        rows, forgotten = _remaining(self._held)
        if forgotten:
            gone = files.without(folder, found.endpoint, LIVE, view.key, forgotten, but=name)
            _LOG.info("%d rows of %d people who are to be forgotten are gone", gone, len(forgotten))
        if rows:
            files.write(f"{folder}/{name}", found.endpoint, self._table(rows, found, view))
            _LOG.info("%d rows are in %s", len(rows), name)
        with self._client.pipeline() as pipeline:
            ids = [id_ for id_, _ in self._held]
            pipeline.xack(self._stream, GROUP, *ids)
            pipeline.xdel(self._stream, *ids)
            pipeline.execute()
        done, self._held = len(self._held), []
        return done

    def _table(self, rows: Sequence[Mapping[bytes, bytes]], found: Definitions, view: View) -> pa.Table:
        """In the types of the snapshot, so that all files are one table."""
        types = definitions.types(found, view)
        moment = pa.timestamp("us", tz="UTC")
        arrays = {view.key: pa.array([int(row[b"user"]) for row in rows], pa.int64())}
        for column in view.columns:
            values = [_value(row.get(column.encode()), types[column]) for row in rows]
            arrays[column] = pa.array(values, types[column])
        arrays[TIMESTAMP] = pa.array([int(row[b"at"]) for row in rows], pa.int64()).cast(moment)
        written = pa.scalar(datetime.fromtimestamp(self._clock(), UTC), moment)
        arrays[CREATED] = pa.repeat(written, len(rows))
        return pa.table(arrays)


def _remaining(entries: Sequence[Entry]) -> tuple[list[Mapping[bytes, bytes]], set[int]]:
    """Rows, without those of people who were forgotten after them; and those people."""
    rows: list[Mapping[bytes, bytes]] = []
    forgotten: set[int] = set()
    for _, fields in entries:
        if b"forget" in fields:
            rows = [row for row in rows if row[b"user"] != fields[b"forget"]]
            forgotten.add(int(fields[b"forget"]))
        else:
            rows.append(fields)
    return rows, forgotten


def _value(content: bytes | None, kind: pa.DataType) -> Any:
    """A value of a column of this type; None: there is none, or it is of another type."""
    try:
        value = feast_keys.decode(content) if content is not None else None
        return None if isinstance(value, bool | bytes) else pa.scalar(value, kind).as_py()
    except (ValueError, TypeError, pa.ArrowException):
        return None


def main() -> None:
    """Until killed, which may happen at any time."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(prog="recstack_feast.logger")
    parser.add_argument("--repository", type=Path, required=True)
    repository = parser.parse_args().repository
    url = client_url(os.environ["VALKEY_URL"])
    client = redis.Redis.from_url(url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=1.0)
    scope = f"{os.environ['RECSTACK_NAMESPACE']}/{os.environ['RECSTACK_STACK']}"
    logger = Logger(client, scope, repository)
    while True:
        try:
            logger.turn()
        except (redis.RedisError, OSError, BadInput) as error:
            _LOG.warning("rows wait: %s", error)
            time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    main()
