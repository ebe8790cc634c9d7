"""The tables that Athena reads: views' files as external tables of the Glue catalog."""

from collections.abc import Mapping
from typing import Any

import boto3
import pyarrow as pa
from botocore.exceptions import ClientError

from recstack_feast.definitions import CREATED, TIMESTAMP, Athena, Definitions, View, types
from recstack_feast.errors import BadInput

CATALOG = "AwsDataCatalog"
"""The only data source whose tables are made here: another one's are its owner's."""
TYPES = {pa.int64(): "bigint", pa.float64(): "double", pa.string(): "string"}
_HIVE = "org.apache.hadoop.hive.ql.io.parquet"


def table(definitions: Definitions, view: View, columns: Mapping[str, pa.DataType]) -> dict[str, Any]:
    """Glue's description of a view's files; columns are found by name, null where a file has none."""
    wanted = [(name, TYPES[columns[name]]) for name in (view.key, *view.columns)]
    wanted += [(name, "timestamp") for name in (TIMESTAMP, CREATED)]
    return {
        "Name": view.table,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
        "StorageDescriptor": {
            "Columns": [{"Name": name, "Type": type} for name, type in wanted],
            "Location": f"{definitions.offline}/{view.name}/",
            "InputFormat": f"{_HIVE}.MapredParquetInputFormat",
            "OutputFormat": f"{_HIVE}.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": f"{_HIVE}.serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"},
            },
        },
    }


def client(athena: Athena) -> Any:
    """Glue, with the environment's credentials."""
    return boto3.client("glue", region_name=athena.region)


def apply(definitions: Definitions, athena: Athena, glue: Any) -> None:
    """Make each view's table, or bring it to the view's columns; ``BadInput``: there is no such database."""
    if athena.data_source != CATALOG:
        return
    for view in definitions.views:
        wanted = {
            "DatabaseName": athena.database,
            "TableInput": table(definitions, view, types(definitions, view)),
        }
        try:
            glue.update_table(**wanted)
        except glue.exceptions.EntityNotFoundException:
            _create(glue, athena, wanted)


def delete(definitions: Definitions, athena: Athena, glue: Any) -> None:
    """Take the tables out of the catalog; one that is not there is fine."""
    if athena.data_source != CATALOG:
        return
    for view in definitions.views:
        try:
            glue.delete_table(DatabaseName=athena.database, Name=view.table)
        except glue.exceptions.EntityNotFoundException:
            continue


def _create(glue: Any, athena: Athena, wanted: Mapping[str, Any]) -> None:
    try:
        glue.create_table(**wanted)
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        raise BadInput(
            "DatabaseMissing",
            f"The Glue catalog of {athena.region} has no database {athena.database}: create it.",
        ) from None
