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
    probes. ``seed``, 0 to 2^63 - 1, makes a sampled order repeatable. ``explain``: also say how it came
    about, in a call with this one request.
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
        BadRequest: not JSON, an unknown field, no object, or a seed out of range.
    """
    try:
        value: Any = json.loads(content)
        request = Request(**value)
    except (ValueError, TypeError) as error:
        raise BadRequest(f"the request is not as expected: {error}") from error
    if request.seed is not None and not 0 <= request.seed < 2**63:
        raise BadRequest("seed: expected 0 to 2^63 - 1")
    return request
