"""Parquet files of a view, read as one table whatever each of them has."""

from datetime import datetime
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, S3FileSystem

SUFFIX = ".parquet"


def filesystem(uri: str, endpoint: str | None) -> tuple[FileSystem, str]:
    """File system and path of ``file:///path`` or ``s3://bucket/prefix``, with the environment's keys."""
    parsed = urlparse(uri)
    if parsed.scheme == "s3":
        server = urlparse(endpoint or "")
        options = {"endpoint_override": server.netloc, "scheme": server.scheme} if endpoint else {}
        return S3FileSystem(**options), f"{parsed.netloc}{parsed.path}".rstrip("/")
    return LocalFileSystem(), parsed.path.rstrip("/")


def schema(uri: str, endpoint: str | None) -> pa.Schema:
    """Schema of one file; ``FileNotFoundError`` where there is none."""
    system, path = filesystem(uri, endpoint)
    return ds.dataset(path, filesystem=system, format="parquet").schema


def read(
    uri: str, endpoint: str | None, wanted: pa.Schema, timestamp: str, between: tuple[datetime, datetime]
) -> pa.Table:
    """Rows of all files below ``uri`` with ``timestamp`` between two moments, in the columns of ``wanted``.

    A file that lacks a column has nulls there; its other columns are not read.
    """
    system, path = filesystem(uri, endpoint)
    found = system.get_file_info(FileSelector(path, allow_not_found=True))
    names = sorted(
        one.path for one in found if one.type is FileType.File and one.base_name.endswith(SUFFIX)
        and not one.base_name.startswith(".")
    )  # fmt: skip
    if not names:
        return wanted.empty_table()
    bounds = [pa.scalar(moment, wanted.field(timestamp).type) for moment in between]
    within = (pc.field(timestamp) >= bounds[0]) & (pc.field(timestamp) <= bounds[1])
    return ds.dataset(names, schema=wanted, filesystem=system, format="parquet").to_table(filter=within)


def latest(table: pa.Table, keys: list[str], order: list[str]) -> pa.Table:
    """For each entity the last row in the sort order of the columns ``order``."""
    position = "__position__"
    table = table.sort_by([(name, "ascending") for name in order])
    table = table.append_column(position, pa.array(range(len(table)), pa.int64()))
    last = table.group_by(keys).aggregate([(position, "max")])[f"{position}_max"]
    return table.take(last).drop_columns([position])
