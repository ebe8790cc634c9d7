"""Pulls packages from where training published them, and verifies every byte."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, closing
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recstack_gateway.errors import Refused, Unavailable

MANIFEST = "manifest.json"
TRAINING = "training"
"""Role of parts that no pod reads."""
_CHUNK = 1 << 20
Reader = Callable[[str], AbstractContextManager[BinaryIO]]
"""Opens a part by its name."""


def pull(artifacts: str, digest: str, packages: Path, wanted: Collection[str] | None = None) -> Path:
    """Folder of the package on disk, pulled if it is not there; ``digest`` is ``sha256:<hex>``.

    It appears under its name only after every part was verified, so what is there is whole. ``wanted``: only
    these parts, for a folder ``packages`` whose readers need no others.

    Raises:
        Refused: a part is missing, or is not what the manifest says.
        Unavailable: the store does not answer.
    """
    name = digest.removeprefix("sha256:")
    target = packages / name
    if target.is_dir():
        os.utime(target)  # the order of last use decides what is kept
        return target
    writing = packages / f".{name}"
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    read = _reader(artifacts, f"packages/{name}")
    try:
        manifest = _fetch(read, MANIFEST, writing, name, None)
        for part, facts in _parts(manifest).items():
            if (wanted is not None and part not in wanted) or facts.get("role") == TRAINING:
                continue
            _fetch(read, part, writing, facts["sha256"], facts["bytes"])
        writing.rename(target)
    except (OSError, BotoCoreError) as error:  # the SDK's errors while a body is read are no OSErrors
        raise Unavailable(f"package {digest[:19]}: {error}") from error
    finally:
        shutil.rmtree(writing, ignore_errors=True)
    return target


def needs_nvtabular(folder: Path) -> bool:
    """Whether a package that was pulled has operators that are not compiled."""
    return bool(json.loads((folder / MANIFEST).read_bytes()).get("nvtabular"))


def size(folder: Path) -> int:
    """Bytes of a package on disk."""
    return sum(path.stat().st_size for path in folder.iterdir())


def keep_last(packages: Path, needed: set[str], spare: int) -> None:
    """Delete packages but those ``needed`` (digests) and the ``spare`` last used others."""
    names = {digest.removeprefix("sha256:") for digest in needed}
    if not packages.is_dir():
        return
    others = [path for path in packages.iterdir() if path.name not in names and path.name[0] != "."]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[spare:]:
        shutil.rmtree(path, ignore_errors=True)


def _parts(manifest: Path) -> Mapping[str, Mapping[str, str | int]]:
    try:
        parts: Mapping[str, Mapping[str, str | int]] = json.loads(manifest.read_bytes())["parts"]
        for part, facts in parts.items():
            path = PurePosixPath(part)
            if path.is_absolute() or ".." in path.parts or not {"sha256", "bytes"} <= facts.keys():
                raise Refused(f"manifest.json: part {part!r} is not one of a package")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"manifest.json is not a package's manifest: {error!r}") from error
    return parts


def _fetch(read: Reader, part: str, folder: Path, sha256: str | int, size: str | int | None) -> Path:
    path = folder / part
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, count = hashlib.sha256(), 0
    with read(part) as stream, path.open("wb") as file:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            count += len(chunk)
            file.write(chunk)
    if digest.hexdigest() != sha256:
        raise Refused(
            f"{part} is corrupted: {count} bytes with SHA-256 {digest.hexdigest()}, "
            f"expected {size if size is not None else 'those'} with {sha256}; publish the package again"
        )
    return path


def _reader(artifacts: str, prefix: str) -> Reader:
    location = urlparse(artifacts)
    if location.scheme == "file":
        return lambda part: _open_file(Path(location.path) / prefix / part)
    if location.scheme == "s3":
        return _s3_reader(location.netloc, "/".join(filter(None, (location.path.strip("/"), prefix))))
    raise Refused(f"artifacts at {artifacts!r}: expected file:///… or s3://bucket/prefix")


def _open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise Refused(f"{path} is missing: the package is not whole, publish it again") from None


@cache
def s3_client() -> Any:
    """Made once: it takes as long as a small package. The SDK renews credentials by itself.

    Endpoint, region and credentials come from the SDK's own environment.
    """
    return boto3.client("s3", config=Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 3}))


def _s3_reader(bucket: str, prefix: str) -> Reader:
    client = s3_client()

    def read(part: str) -> AbstractContextManager[BinaryIO]:
        key = f"{prefix}/{part}"
        try:
            return closing(client.get_object(Bucket=bucket, Key=key)["Body"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                raise Refused(
                    f"s3://{bucket}/{key} is missing: the package is not whole, publish it again"
                ) from None
            raise Unavailable(f"s3://{bucket}/{key}: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(f"s3://{bucket}/{key}: {error}") from error

    return read
