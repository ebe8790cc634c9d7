"""Parquet files of a view, read as one table whatever each of them has; written whole or not at all."""

from collections.abc import Collection
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
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
    names = _names(system, path)
    if not names:
        return wanted.empty_table()
    bounds = [pa.scalar(moment, wanted.field(timestamp).type) for moment in between]
    within = (pc.field(timestamp) >= bounds[0]) & (pc.field(timestamp) <= bounds[1])
    return ds.dataset(names, schema=wanted, filesystem=system, format="parquet").to_table(filter=within)


def write(uri: str, endpoint: str | None, table: pa.Table) -> None:
    """Write a file, or another in its place: readers see either the one or the other."""
    system, path = filesystem(uri, endpoint)
    _write(system, path, table)


def without(
    uri: str, endpoint: str | None, prefix: str, column: str, values: Collection[int], *, but: str
) -> int:
    """Take the rows with one of ``values`` in ``column`` out of all files whose names begin with ``prefix``.

    ``but``: a file that is left alone. Gives the number of rows that were taken out.
    """
    system, path = filesystem(uri, endpoint)
    gone = 0
    for name in _names(system, path):
        base = PurePosixPath(name).name
        if not base.startswith(prefix) or base == but:
            continue
        found = pc.is_in(
            pq.read_table(name, columns=[column], filesystem=system)[column],
            value_set=pa.array(sorted(values), pa.int64()),
        )
        count = pc.sum(found).as_py() or 0
        if count:
            left = pq.read_table(name, filesystem=system).filter(pc.invert(found))
            if len(left):
                _write(system, name, left)
            else:
                system.delete_file(name)
        gone += count
    return gone


def _names(system: FileSystem, path: str) -> list[str]:
    found = system.get_file_info(FileSelector(path, allow_not_found=True))
    return sorted(
        one.path for one in found if one.type is FileType.File and one.base_name.endswith(SUFFIX)
        and not one.base_name.startswith(".")
    )  # fmt: skip


def _write(system: FileSystem, path: str, table: pa.Table) -> None:
    """An object of S3 is there when its upload is complete; a file is renamed into place."""
    if not isinstance(system, LocalFileSystem):
        pq.write_table(table, path, filesystem=system)
        return
    target = PurePosixPath(path)
    system.create_dir(str(target.parent))
    writing = str(target.with_name(f".{target.name}"))
    pq.write_table(table, writing, filesystem=system)
    system.move(writing, path)


def latest(table: pa.Table, keys: list[str], order: list[str]) -> pa.Table:
    """For each entity the last row in the sort order of the columns ``order``."""
    position = "__position__"
    table = table.sort_by([(name, "ascending") for name in order])
    table = table.append_column(position, pa.array(range(len(table)), pa.int64()))
    last = table.group_by(keys).aggregate([(position, "max")])[f"{position}_max"]
    return table.take(last).drop_columns([position])
