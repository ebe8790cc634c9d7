"""What the operator rendered for a stack's features; read without Feast, which takes seconds to import."""

from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from recstack_feast import files
from recstack_feast.errors import BadInput

DEFINITIONS = "definitions.json"
TIMESTAMP = "event_timestamp"
CREATED = "created"
TYPES = (pa.int64(), pa.float64(), pa.string())
"""Of a column."""


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
