"""A stack's Feast repository: what the operator rendered, as Feast's objects."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlparse

import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.contrib.athena_offline_store.athena_source import AthenaSource
from feast.types import FeastType, Float64, Int64, String

from recstack_feast.connection import connection_string
from recstack_feast.definitions import CREATED, TIMESTAMP, Definitions, View, types

STORE = "feature_store.yaml"
CONNECTION = "RECSTACK_FEAST_CONNECTION"
KINDS: dict[pa.DataType, FeastType] = {pa.int64(): Int64, pa.float64(): Float64, pa.string(): String}


def open_store(folder: Path, url: str) -> FeatureStore:
    """The store of the repository, its Valkey at ``url``."""
    os.environ[CONNECTION] = connection_string(url)
    return FeatureStore(fs_yaml_file=folder / STORE)


def objects(definitions: Definitions) -> list[Entity | FeatureView]:
    """Entities and views; the types are those of the snapshot's files."""
    found: list[Entity | FeatureView] = []
    for view in definitions.views:
        found_types = types(definitions, view)
        entity = Entity(name=view.entity, join_keys=[view.key], value_type=ValueType.INT64)
        fields = [Field(name=name, dtype=KINDS[found_types[name]]) for name in view.columns]
        found += [
            entity,
            FeatureView(
                name=view.name,
                entities=[entity],
                schema=[Field(name=view.key, dtype=Int64), *fields],
                ttl=timedelta(seconds=view.ttl_seconds),
                source=_source(definitions, view, found_types),
            ),
        ]
    return found


def _source(definitions: Definitions, view: View, columns: dict[str, pa.DataType]) -> DataSource:
    if definitions.athena is not None:
        return AthenaSource(
            name=view.name,
            table=view.table,
            database=definitions.athena.database,
            data_source=definitions.athena.data_source,
            timestamp_field=TIMESTAMP,
            created_timestamp_column=CREATED,
        )
    uri = f"{definitions.offline}/{view.name}"
    return FileSource(
        name=view.name,
        path=uri if urlparse(uri).scheme == "s3" else urlparse(uri).path,
        file_format=ParquetFormat(),
        timestamp_field=TIMESTAMP,
        created_timestamp_column=CREATED,
        s3_endpoint_override=definitions.endpoint,
        tags={name: str(columns[name]) for name in (view.key, *view.columns)},
    )
