"""The request that the gateway sends to the model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recstack_triton_templates.errors import BadRequest

Scalar = int | float | str | None


@dataclass(frozen=True)
class Request:
    """Who asks, and how many items are wanted.

    ``user_id`` None: anonymous. ``context``: raw value by column of the log. ``k`` None: the setting's most.
    ``candidates`` None: the setting's. ``plain``: ranked order, neither seen filter nor diversity, for
    probes. ``seed`` makes a sampled order repeatable. ``explain``: also say how the answer came about.
    """

    user_id: int | None = None
    context: Mapping[str, Scalar] = field(default_factory=dict)
    k: int | None = None
    candidates: int | None = None
    plain: bool = False
    seed: int | None = None
    explain: bool = False


def parse(content: bytes) -> Request:
    """Request in JSON.

    Raises:
        BadRequest: not JSON, an unknown field, or no object.
    """
    try:
        value: Any = json.loads(content)
        return Request(**value)
    except (ValueError, TypeError) as error:
        raise BadRequest(f"the request is not as expected: {error}") from error
