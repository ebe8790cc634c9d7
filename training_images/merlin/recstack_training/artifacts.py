"""Where packages and source files live: a folder or any S3 server."""

import fnmatch
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlparse

from recstack_crds.v1alpha1.data import S3Location

from recstack_training.errors import BadInput

PIECE = 1 << 20
"""Bytes read at once."""


class Store(Protocol):
    """Write-once files under an address."""

    def put(self, path: Path, key: str) -> None:
        """Copy a local file to ``key``; visible only when complete."""
        ...

    def exists(self, key: str) -> bool:
        """Whether ``key`` is there."""
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """Content of ``key`` in pieces; ``FileNotFoundError`` where there is none."""
        ...

    def folders(self, key: str) -> list[str]:
        """Names of the folders right below ``key``; none where there is no ``key``."""
        ...

    def files(self, key: str) -> list[str]:
        """Names of the files right below ``key``, without those that begin with a dot."""
        ...

    def remove(self, key: str) -> None:
        """Delete one file; one that is not there is fine."""
        ...

    def delete(self, key: str) -> None:
        """Delete everything below the folder ``key``."""
        ...


class Folder:
    """A store in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, path: Path, key: str) -> None:
        """Copy beside the target and rename, so that readers never see half a file."""
        target = self._root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        shutil.copyfile(path, temporary)
        os.replace(temporary, target)

    def exists(self, key: str) -> bool:
        """Whether the file is there."""
        return (self._root / key).is_file()

    def read(self, key: str) -> Iterator[bytes]:
        """Content of the file."""
        with (self._root / key).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def folders(self, key: str) -> list[str]:
        """Names of the folders right below."""
        root = self._root / key
        return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []

    def files(self, key: str) -> list[str]:
        """Names of the files right below."""
        root = self._root / key
        there = [path.name for path in root.iterdir() if path.is_file()] if root.is_dir() else []
        return sorted(name for name in there if not name.startswith("."))

    def remove(self, key: str) -> None:
        """Delete the file."""
        (self._root / key).unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Delete the folder."""
        shutil.rmtree(self._root / key, ignore_errors=False)


class Bucket:
    """A store in an S3 bucket; a put is atomic there."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def put(self, path: Path, key: str) -> None:
        """Upload, in parts when large."""
        with refusals(self._bucket), path.open("rb") as file:
            self._client.upload_fileobj(file, self._bucket, self._key(key))

    def exists(self, key: str) -> bool:
        """Whether the object is there."""
        from botocore.exceptions import ClientError

        with refusals(self._bucket):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._key(key))
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return False
                raise
        return True

    def read(self, key: str) -> Iterator[bytes]:
        """Content of the object."""
        if not self.exists(key):
            raise FileNotFoundError(key)
        with closing(self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"]) as body:
            yield from body.iter_chunks(PIECE)

    def folders(self, key: str) -> list[str]:
        """Names of the common prefixes right below."""
        pages = self._client.get_paginator("list_objects_v2")
        prefix = self._key(key) + "/"
        with refusals(self._bucket):
            return [
                found["Prefix"][len(prefix) : -1]
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
                for found in page.get("CommonPrefixes", [])
            ]

    def files(self, key: str) -> list[str]:
        """Names of the objects right below."""
        pages = self._client.get_paginator("list_objects_v2")
        prefix = self._key(key) + "/"
        with refusals(self._bucket):
            names = [
                found["Key"][len(prefix) :]
                for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
                for found in page.get("Contents", [])
            ]
        return [name for name in names if name and not name.startswith(".")]

    def remove(self, key: str) -> None:
        """Delete the object."""
        with refusals(self._bucket):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def delete(self, key: str) -> None:
        """Delete the objects below, a page of at most 1,000 at a time."""
        pages = self._client.get_paginator("list_objects_v2")
        with refusals(self._bucket):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._key(key) + "/"):
                for found in page.get("Contents", []):
                    # One by one: not every server has the call for many, nor the checksum it wants.
                    self._client.delete_object(Bucket=self._bucket, Key=found["Key"])


def s3_client(endpoint: str | None = None, region: str | None = None) -> Any:
    """A client from the AWS_* variables; AWS_ENDPOINT_URL names another server than AWS."""
    import boto3
    from botocore.config import Config

    # Few and short tries: a server that is away is waited for by the Job's back-off, not in here.
    config = Config(connect_timeout=5, read_timeout=60, retries={"max_attempts": 3, "mode": "standard"})
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint or os.environ.get("AWS_ENDPOINT_URL"),
        region_name=region,
        config=config,
    )


@contextmanager
def refusals(bucket: str) -> Iterator[None]:
    """Turn a missing bucket and refused credentials into ``BadInput``: trying again cannot mend them.

    A server that cannot be reached or fails (5xx) stays the client's own error: the step exits with 1 and
    the Job tries again.
    """
    from botocore.exceptions import (
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, ParamValidationError) as error:
        raise BadInput("S3Refused", f"Bucket {bucket}: {error}; check the Secret and the bucket.") from error
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = error.response["Error"]["Code"]
        if status in (403, 404) and code != "RequestTimeTooSkewed":
            what = "does not exist" if status == 404 else "refuses the credentials"
            raise BadInput(
                "S3Refused", f"Bucket {bucket} {what} ({code}); check its name and the Secret."
            ) from error
        raise


def open_store(uri: str) -> Store:
    """The store at ``file:///path`` or ``s3://bucket/prefix``; ``BadInput`` for another scheme."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Folder(Path(parsed.path))
    if parsed.scheme == "s3":
        return Bucket(s3_client(), parsed.netloc, parsed.path.strip("/"))
    raise BadInput("InvalidArtifacts", f"Artifacts {uri!r}: expected file:///... or s3://....")


def download(location: S3Location, patterns: tuple[str, ...], folder: Path) -> None:
    """Fetch the objects below the location whose relative key matches a pattern; those that are here stay."""
    client = s3_client(location.endpoint, location.region)
    with refusals(location.bucket):
        _download(client, location, patterns, folder)


def _download(client: Any, location: S3Location, patterns: tuple[str, ...], folder: Path) -> None:
    prefix = f"{location.prefix.strip('/')}/" if location.prefix else ""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            name = item["Key"][len(prefix) :]
            target = folder / name
            if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                continue
            if target.exists() and target.stat().st_size == item["Size"]:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.part")
            client.download_file(location.bucket, item["Key"], str(temporary))
            os.replace(temporary, target)
