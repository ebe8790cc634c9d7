"""Offline files and registry in S3, on the S3 server of the local cluster."""

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import redis
from recstack_feast.cli import main
from recstack_feast.logger import Logger
from recstack_feast.repository import open_store
from recstack_triton_templates import feast_keys
from recstack_triton_templates.event_keys import EventKeys
from stackfiles import StackFiles

from tests.serving.valkey_server import CACHE, ValkeyServer, free_port

BUCKET = "models"
SERVER = CACHE / "bin" / "current" / "versitygw"
"""Built by ``make programs``."""


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder, port = tmp_path / "s3", free_port()
    (folder / BUCKET).mkdir(parents=True)
    keys = {
        "AWS_ACCESS_KEY_ID": "known",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    url = f"http://127.0.0.1:{port}"
    for name, value in (keys | {"AWS_ENDPOINT_URL": url, "FEAST_S3_ENDPOINT_URL": url}).items():
        monkeypatch.setenv(name, value)
    words = ["--access", "known", "--secret", "secret", "--port", f"127.0.0.1:{port}", "posix", str(folder)]
    with (tmp_path / "s3.log").open("wb") as log:
        process = subprocess.Popen([str(SERVER), *words], stdout=log, stderr=log)
    try:
        client = boto3.client("s3")
        deadline = time.monotonic() + 30
        while True:
            try:
                client.head_bucket(Bucket=BUCKET)
                break
            except Exception:
                assert time.monotonic() < deadline, (tmp_path / "s3.log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def test_files_and_registry_in_s3(stack: StackFiles, valkey: ValkeyServer, endpoint: str) -> None:
    """Two versions of other columns, on a server that is not AWS."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    stack.write("user_features", "v0", now, person=[7, 8], taste=["a", "b"])
    stack.write("user_features", "v1", now + timedelta(minutes=1), person=[7], taste=["c"], age=[41])
    stack.write("item_features", "v1", now, film=[1], price=[1.5])
    client = boto3.client("s3")
    for path in stack.offline.rglob("*.parquet"):
        client.upload_file(str(path), BUCKET, f"x/offline/shop/retail/{path.relative_to(stack.offline)}")
    stack.to_s3(f"s3://{BUCKET}/x/offline/shop/retail", endpoint)
    assert main(stack.command("apply", "materialize", "materialize-incremental")) == 0
    store = open_store(stack.repository, valkey.url)
    rows = [{"person": person} for person in (7, 8)]
    found = store.get_online_features(["user_features:taste", "user_features:age"], rows).to_dict()
    assert (found["taste"], found["age"]) == (["c", "b"], [41, None])
    keys = {one["Key"] for one in client.list_objects_v2(Bucket=BUCKET, Prefix="x/")["Contents"]}
    assert "x/offline/shop/retail/registry.db" in keys
    stack.to_s3(f"s3://{BUCKET}/nothing", endpoint)
    assert main(stack.command("apply")) == 3, "no snapshot there"


def test_rows_that_changed_go_there_and_away_again(
    stack: StackFiles, valkey: ValkeyServer, endpoint: str
) -> None:
    stack.write("user_features", "v1", datetime.now(UTC), person=[7], taste=["c"], age=[41])
    client, folder = boto3.client("s3"), "x/offline/shop/retail/user_features"
    client.upload_file(str(stack.offline / "user_features" / "v1.parquet"), BUCKET, f"{folder}/v1.parquet")
    stack.to_s3(f"s3://{BUCKET}/x/offline/shop/retail", endpoint)
    stream = EventKeys("shop/retail").rows()

    def names() -> list[str]:
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=folder)["Contents"]
        return sorted(name for one in found if (name := one["Key"].rpartition("/")[2]))

    with redis.Redis(port=valkey.port) as rows:
        first, second = (
            rows.xadd(stream, {"user": user, "at": 1, "taste": feast_keys.encode("d")}).decode()
            for user in (7, 8)
        )
        logger = Logger(rows, "shop/retail", stack.repository, lambda: time.time() + 1000)
        assert logger.turn() == 2
        assert names() == [f"live-{first}-{second}.parquet", "v1.parquet"]
        for user in (7, 8):
            rows.xadd(stream, {"forget": user})
        while rows.xlen(stream):
            logger.turn()
    assert names() == ["v1.parquet"]
