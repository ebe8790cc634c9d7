"""The tables as a version read them, for the offline store; the layout: ``docs/spec/offline.md``."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recstack_training.artifacts import Store
from recstack_training.errors import BadInput

FOLDER = "offline"
"""Of the features step: ``<view>.parquet`` each; and of the artifacts."""
USERS = "user_features"
ITEMS = "item_features"
TIMESTAMP = "event_timestamp"
CREATED = "created"
TIME = pa.timestamp("us", tz="UTC")


def write(path: Path, table: pd.DataFrame, key: str, columns: Iterable[str], read: datetime) -> None:
    """Write ``key`` and ``columns`` of ``table`` as they were at ``read``: int64, float64 or string.

    Types are the same in every version's file, so that all of them are one table.
    ``BadInput``: a column bears a name of the offline store's own.
    """
    names = [key, *(name for name in dict.fromkeys(columns) if name != key)]
    for name in (TIMESTAMP, CREATED):
        if name in names:
            raise BadInput(
                "ReservedColumn", f"{name} is a column of the offline store: rename yours.", column=name
            )
    arrays = {name: _array(table[name]) for name in names}
    moment = pa.scalar(read, TIME)
    arrays |= {name: pa.repeat(moment, len(table)) for name in (TIMESTAMP, CREATED)}
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(arrays), path)


def publish(store: Store, folder: Path, stack: str, version: str) -> None:
    """Put what ``write`` left in ``folder`` among the files of ``stack`` (``namespace/name``)."""
    for view in (USERS, ITEMS):
        store.put(folder / f"{view}.parquet", f"{FOLDER}/{stack}/{view}/{version}.parquet")


def delete(store: Store, stack: str) -> bool:
    """Delete all offline features of ``stack``; False: there were none."""
    folder = f"{FOLDER}/{stack}"
    if not store.folders(folder):
        return False
    store.delete(folder)
    return True


def _array(column: pd.Series) -> pa.Array:
    """A column with a type that does not depend on which values are null."""
    values = pa.Array.from_pandas(column)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        return values.cast(pa.int64())
    if pa.types.is_floating(values.type):
        return values.cast(pa.float64())
    return values.cast(pa.string())
