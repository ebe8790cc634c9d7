"""Rows that changed while people were served: offline once, however often their writer is killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from recstack_feast import files, logger
from recstack_feast.cli import main
from recstack_feast.errors import BadInput
from recstack_feast.logger import Logger
from recstack_feast.repository import open_store
from recstack_triton_templates import feast_keys
from recstack_triton_templates.event_keys import EventKeys, forgotten
from stackfiles import PROJECT, TIME, StackFiles

from tests.serving.valkey_server import ValkeyServer

SCOPE = "shop/retail"
STREAM = EventKeys(SCOPE).rows()
THEN = datetime(2026, 1, 1, tzinfo=UTC)
SNAPSHOT: dict[str, Any] = {"person": [7], "taste": ["a"], "age": [30]}


@pytest.fixture
def client(valkey: ValkeyServer) -> Iterator["redis.Redis"]:
    with redis.Redis(port=valkey.port) as made:
        yield made


@pytest.fixture
def shop(stack: StackFiles) -> StackFiles:
    stack.write("user_features", "v1", THEN, **SNAPSHOT)
    stack.write("item_features", "v1", THEN, film=[1], price=[2.5])
    return stack


def log(shop: StackFiles, client: "redis.Redis", now: float | None = None) -> Logger:
    """By default one for whom every entry has waited long enough."""
    moment = time.time() + 1000 if now is None else now
    return Logger(client, SCOPE, shop.repository, lambda: moment)


def changed(client: "redis.Redis", user: int, at: float, **values: Any) -> None:
    fields: Any = {name: feast_keys.encode(value) for name, value in values.items()}
    client.xadd(STREAM, {"user": user, "at": round(at * 1e6)} | fields)


def forget(client: "redis.Redis", user: int) -> None:
    client.xadd(STREAM, {"forget": user})


def written(shop: StackFiles) -> list[dict[str, Any]]:
    """Rows of all files that were written live."""
    paths = sorted((shop.offline / "user_features").glob("live-*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: (row["event_timestamp"], row["person"]))


def test_rows_lie_beside_those_of_versions_in_their_types(shop: StackFiles, client: "redis.Redis") -> None:
    changed(client, 7, THEN.timestamp() + 0.25, taste="b", age=31)
    changed(client, -8, THEN.timestamp() + 1, taste=None)
    changed(client, 9, THEN.timestamp() + 2, taste=5, age="old")  # not of the columns' types
    assert log(shop, client).turn() == 3
    rows = written(shop)
    assert [(row["person"], row["taste"], row["age"]) for row in rows] == [
        (7, "b", 31),
        (-8, None, None),
        (9, None, None),
    ]
    assert rows[0]["event_timestamp"] == datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)
    (path,) = (shop.offline / "user_features").glob("live-*.parquet")
    assert pq.read_schema(path).equals(pq.read_schema(shop.offline / "user_features" / "v1.parquet"))
    assert client.xlen(STREAM) == 0
    pending: Any = client.xpending(STREAM, logger.GROUP)
    assert pending["pending"] == 0


def test_few_rows_wait_for_others(shop: StackFiles, client: "redis.Redis") -> None:
    now = time.time()
    changed(client, 7, now, taste="b")
    soon = log(shop, client, now)
    assert [soon.turn(), soon.turn()] == [0, 0]
    soon._clock = lambda: now + logger.SECONDS + 1
    assert soon.turn() == 1
    assert [row["person"] for row in written(shop)] == [7]


def test_one_that_was_killed_writes_the_same_file_again(
    shop: StackFiles, client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in range(5):
        changed(client, user, THEN.timestamp(), taste="b")
    write = files.write

    def and_die(*words: Any) -> None:
        write(*words)
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write", and_die)
        with pytest.raises(OSError, match="killed"):
            log(shop, client).turn()
    changed(client, 99, THEN.timestamp(), taste="c")
    next_one = log(shop, client)
    assert next_one.turn() == 5
    assert len(list((shop.offline / "user_features").glob("live-*.parquet"))) == 1
    assert next_one.turn() == 1
    assert [row["person"] for row in written(shop)] == [0, 1, 2, 3, 4, 99]


def test_who_is_forgotten_is_nowhere(shop: StackFiles, client: "redis.Redis") -> None:
    """Not in files of before, nor among rows that waited; what they do later is there."""
    start = THEN.timestamp()
    for user in (7, 8):
        changed(client, user, start, taste="b")
    log(shop, client).turn()
    changed(client, 8, start + 1, taste="c")
    log(shop, client).turn()
    changed(client, 8, start + 2, taste="d")
    forget(client, 8)
    changed(client, 8, start + 3, taste="e")
    assert log(shop, client, time.time()).turn() == 3, "nobody waits to be forgotten"
    assert [(row["person"], row["taste"]) for row in written(shop)] == [(7, "b"), (8, "e")]
    assert client.xlen(STREAM) == 0
    forget(client, 7)
    forget(client, 8)
    log(shop, client).turn()
    assert written(shop) == []
    assert [path.name for path in (shop.offline / "user_features").iterdir()] == ["v1.parquet"]


def test_without_a_repository_rows_wait(shop: StackFiles, client: "redis.Redis") -> None:
    changed(client, 7, THEN.timestamp(), taste="b")
    (shop.repository / "definitions.json").rename(shop.root / "away")
    waiting = log(shop, client)
    with pytest.raises(BadInput, match=r"There is no .*definitions.json"):
        waiting.turn()
    (shop.root / "away").rename(shop.repository / "definitions.json")
    assert waiting.turn() == 1
    assert len(written(shop)) == 1


def test_feast_reads_them(shop: StackFiles, client: "redis.Redis", valkey: ValkeyServer) -> None:
    """The newest row of a person goes online, whoever wrote it."""
    assert main(shop.command("apply", "materialize")) == 0
    changed(client, 7, time.time() - 60, taste="b", age=30)
    changed(client, 7, time.time() - 30, taste="c", age=30)
    log(shop, client).turn()
    assert main(shop.command("materialize-incremental")) == 0
    store = open_store(shop.repository, valkey.url)
    wanted = ["user_features:taste", "user_features:age"]
    found = store.get_online_features(wanted, [{"person": 7}]).to_dict()
    assert (found["taste"], found["age"]) == (["c"], [30])


def test_killed_anywhere_it_loses_and_doubles_nothing(
    shop: StackFiles, client: "redis.Redis", valkey: ValkeyServer
) -> None:
    """The real process, while rows come in and people are forgotten."""
    dice = random.Random(2)
    expected: dict[tuple[int, int], str] = {}
    environment = os.environ | {
        "VALKEY_URL": valkey.url,
        "RECSTACK_NAMESPACE": "shop",
        "RECSTACK_STACK": "retail",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    for turn in range(6):
        for number in range(200):
            user, at, taste = dice.randrange(20), 1_767_225_600 + turn * 1000 + number, dice.choice("abc")
            changed(client, user, at, taste=taste)
            expected[user, at] = taste
        gone = dice.randrange(20)
        forget(client, gone)
        expected = {key: taste for key, taste in expected.items() if key[0] != gone}
        process = subprocess.Popen(
            [sys.executable, "-m", "recstack_feast.logger", "--repository", str(shop.repository)],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.4 + dice.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = log(shop, client)
    while client.xlen(STREAM):
        last.turn()
    rows = written(shop)
    found = {(row["person"], int(row["event_timestamp"].timestamp())): row["taste"] for row in rows}
    assert len(found) == len(rows), "no row twice"
    assert found == expected


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    table = pa.table({"person": [1, 2], "at": pa.array([THEN] * 2, TIME)})
    for rows in (table, table.slice(0, 1)):
        files.write(f"file://{tmp_path}/live-1.parquet", None, rows)
    assert [path.name for path in tmp_path.iterdir()] == ["live-1.parquet"]
    assert pq.read_table(tmp_path / "live-1.parquet").num_rows == 1


def test_a_materialization_does_not_bring_the_forgotten_back(
    shop: StackFiles, client: "redis.Redis", valkey: ValkeyServer
) -> None:
    """It reads the files before they are rewritten; of who came back since, what they do now stays."""
    now = time.time()
    for user in (7, 8, 9):
        changed(client, user, now - 60, taste="b", age=40)
    log(shop, client).turn()
    keys = {user: feast_keys.entity_key(PROJECT, "person", user) for user in (7, 8, 9)}
    stamp, taste = feast_keys.timestamp_field("user_features"), feast_keys.field("user_features", "taste")
    for user in (7, 8):
        client.zadd(forgotten(PROJECT), {" ".join(one.hex() for one in (keys[user], stamp, taste)): now - 30})
    since = {stamp: feast_keys.encode_time(now - 1), taste: feast_keys.encode("c")}
    client.hset(keys[8], mapping=since)  # Feast brings nothing older over it
    assert main(shop.command("apply", "materialize")) == 0
    store = open_store(shop.repository, valkey.url)
    wanted = ["user_features:taste", "user_features:age"]
    found = store.get_online_features(wanted, [{"person": user} for user in (7, 8, 9)]).to_dict()
    assert found["taste"] == [None, "c", "b"]
    assert found["age"] == [40, None, 40]
