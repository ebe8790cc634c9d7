"""Packages are pulled whole or not at all, from a folder and from S3 (real boto3, over HTTP)."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from recstack_gateway import artifacts
from recstack_gateway.errors import Refused, Unavailable


def _publish(root: Path, parts: dict[str, bytes], **changes: Any) -> str:
    facts = {
        name: {"sha256": hashlib.sha256(one).hexdigest(), "bytes": len(one)} for name, one in parts.items()
    }
    manifest = json.dumps({"parts": facts | changes}).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    for name, content in {**parts, "manifest.json": manifest}.items():
        path = root / "packages" / digest / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return f"sha256:{digest}"


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder that is served as bucket ``bucket``."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = tmp_path / self.path.lstrip("/").split("?")[0]
            found = path.is_file()
            body = path.read_bytes() if found else b"<Error><Code>NoSuchKey</Code></Error>"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    artifacts.s3_client.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    yield tmp_path / "bucket"
    server.shutdown()
    server.server_close()
    thread.join()


PARTS = {"a.bin": b"x" * 3_000_000, "workflows/user/metadata.json": b"{}"}


def test_from_a_folder(tmp_path: Path) -> None:
    digest = _publish(tmp_path, PARTS)
    folder = artifacts.pull(f"file://{tmp_path}", digest, tmp_path / "pulled")
    assert {name: (folder / name).read_bytes() for name in PARTS} == PARTS
    assert [path.name for path in (tmp_path / "pulled").iterdir()] == [digest[7:]]


def test_parts_for_training_are_left_where_they_are(tmp_path: Path) -> None:
    facts = {"sha256": "0" * 64, "bytes": 1, "role": "training"}
    digest = _publish(tmp_path, PARTS, **{"training/dlrm.npz": facts})
    folder = artifacts.pull(f"file://{tmp_path}", digest, tmp_path / "packages-here")
    assert (folder / "a.bin").read_bytes() == PARTS["a.bin"]
    assert not (folder / "training").exists()


def test_a_pulled_package_is_not_pulled_again(tmp_path: Path) -> None:
    digest = _publish(tmp_path, PARTS)
    folder = artifacts.pull(f"file://{tmp_path}", digest, tmp_path / "pulled")
    assert artifacts.pull("file:///nowhere", digest, tmp_path / "pulled") == folder


def test_from_s3(s3: Path, tmp_path: Path) -> None:
    digest = _publish(s3 / "some/prefix", PARTS)
    folder = artifacts.pull("s3://bucket/some/prefix", digest, tmp_path / "pulled")
    assert {name: (folder / name).read_bytes() for name in PARTS} == PARTS


def test_s3_says_what_is_missing(s3: Path, tmp_path: Path) -> None:
    digest = _publish(s3, PARTS)
    (s3 / "packages" / digest[7:] / "a.bin").unlink()
    with pytest.raises(Refused, match=r"s3://bucket/packages/.*/a.bin is missing"):
        artifacts.pull("s3://bucket", digest, tmp_path / "pulled")


def test_s3_down_is_tried_again(s3: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts.s3_client.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Unavailable, match="s3://bucket"):
        artifacts.pull("s3://bucket", f"sha256:{'0' * 64}", tmp_path / "pulled")


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 3_000_001])
def test_a_changed_part_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    digest = _publish(tmp_path, PARTS)
    (tmp_path / "packages" / digest[7:] / "a.bin").write_bytes(content)
    with pytest.raises(Refused, match=rf"a.bin is corrupted: {len(content)} bytes"):
        artifacts.pull(f"file://{tmp_path}", digest, tmp_path / "pulled")
    assert list((tmp_path / "pulled").iterdir()) == []


@pytest.mark.parametrize("part", ["../outside", "/etc/outside", "a/../../outside"])
def test_a_part_outside_of_the_package_is_refused(tmp_path: Path, part: str) -> None:
    digest = _publish(tmp_path, {}, **{part: {"sha256": "0", "bytes": 0}})
    with pytest.raises(Refused, match="is not one of a package"):
        artifacts.pull(f"file://{tmp_path}", digest, tmp_path / "pulled")


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b'{"parts": 3}', b'{"parts": {"a": {}}}', b'{"parts": {"a": 1}}']
)
def test_a_manifest_that_is_none(tmp_path: Path, manifest: bytes) -> None:
    digest = hashlib.sha256(manifest).hexdigest()
    folder = tmp_path / "packages" / digest
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(manifest)
    with pytest.raises(Refused, match=r"manifest.json"):
        artifacts.pull(f"file://{tmp_path}", f"sha256:{digest}", tmp_path / "pulled")


def test_an_unknown_store(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="expected file:///… or s3://"):
        artifacts.pull("ftp://x", f"sha256:{'0' * 64}", tmp_path)


def test_only_the_last_used_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old", "older", "oldest", "needed")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    artifacts.keep_last(tmp_path, {"sha256:needed"}, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "old", "needed"}
    artifacts.keep_last(tmp_path / "nowhere", set(), 2)
