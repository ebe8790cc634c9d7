"""What every API model shares: camelCase on the wire, no unknown fields, immutable in memory."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

GROUP = "recstack.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class ApiModel(BaseModel):
    """A part of a spec or of a status; ``validations`` become CEL rules of its object."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}[mhd]$", max_length=6)]
"""Minutes, hours or days."""
ShortDuration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}[smhd]$", max_length=6)]
"""Seconds, minutes, hours or days."""
Quantity = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=32),
]
