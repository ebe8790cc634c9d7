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
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from recstack_feast import files
from recstack_feast.connection import connection_string
from recstack_feast.errors import BadInput

DEFINITIONS = "definitions.json"
STORE = "feature_store.yaml"
CONNECTION = "RECSTACK_FEAST_CONNECTION"
TIMESTAMP = "event_timestamp"
CREATED = "created"
TYPES: dict[pa.DataType, FeastType] = {pa.int64(): Int64, pa.float64(): Float64, pa.string(): String}


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class View(_Model):
    """One feature view; ``table``: its table in Athena."""

    name: str
    entity: str
    key: str
    columns: list[str]
    ttl_seconds: int
    table: str | None = None


class Athena(_Model):
    """Where the tables are."""

    database: str
    data_source: str
    region: str


class Definitions(_Model):
    """``offline``: folder of the views' files; ``snapshot``: the version whose files tell the types."""

    offline: str
    snapshot: str
    endpoint: str | None = None
    views: list[View]
    athena: Athena | None = None


def read(folder: Path) -> Definitions:
    """What the operator rendered; ``BadInput`` when it is not that."""
    try:
        return Definitions.model_validate_json((folder / DEFINITIONS).read_bytes())
    except FileNotFoundError:
        raise BadInput(
            "MissingFile", f"There is no {folder / DEFINITIONS}: mount the repository there."
        ) from None
    except ValidationError as error:
        raise BadInput(
            "InvalidRepository",
            f"{DEFINITIONS} is not what this image expects ({error.errors()[0]['msg']}): "
            "use the image of the operator's own release.",
        ) from None


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
        fields = [Field(name=name, dtype=TYPES[found_types[name]]) for name in view.columns]
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


def types(definitions: Definitions, view: View) -> dict[str, pa.DataType]:
    """Types by column, as the snapshot's file has them; ``BadInput``: no file, or another type."""
    uri = f"{definitions.offline}/{view.name}/{definitions.snapshot}{files.SUFFIX}"
    try:
        schema = files.schema(uri, definitions.endpoint)
    except FileNotFoundError:
        raise BadInput(
            "SnapshotMissing",
            f"{uri} does not exist: somebody deleted it, or the version is of a release that wrote none. "
            "Train it anew.",
        ) from None
    found = {field.name: field.type for field in schema}
    for name in (view.key, *view.columns):
        if found.get(name) not in TYPES:
            raise BadInput(
                "WrongType",
                f"{uri}: column {name} is {found.get(name)}, expected int64, float64 or string.",
            )
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
