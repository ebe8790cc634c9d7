"""Bodies of requests: what callers may send, and what is told of what they may not."""

from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)
from pydantic_core.core_schema import ValidatorFunctionWrapHandler
from starlette.requests import Request

from recstack_gateway import problems
from recstack_gateway.problems import Problem

BODY_LIMIT = 1 << 20
BATCH_LIMIT = 128
"""Requests of a batch."""
BATCH_ROWS = 1 << 16
"""Candidates ranked in one call, of all its requests; while that lasts Triton answers nobody else."""


def _whole(value: object) -> object:
    """JSON knows one kind of number: 28.0 is an integer, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63), BeforeValidator(_whole)]
INT64_SCHEMA = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
Scalar = Annotated[str, Field(max_length=1024)] | int | float | None
T = TypeVar("T", bound=BaseModel)


class _Body(BaseModel):
    # NaN is passed on as it is: a null would silently mean something else.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, ser_json_inf_nan="constants")


class RecommendBody(_Body):
    """Every field may be left out."""

    user_id: Int64 | None = Field(None, description="Null: anonymous.")
    k: Annotated[int, Field(ge=1), BeforeValidator(_whole)] | None = Field(
        None, description="Most items wanted; no more than the stack's topK and the catalog are given."
    )
    context: dict[str, Scalar] = Field(
        default_factory=dict,
        max_length=64,
        description="Raw value by column of the log; time defaults to now, other columns to unknown; columns "
        "that no feature uses are ignored.",
    )
    explain: bool = Field(
        False,
        description="Also tell milliseconds by stage, candidates by step, and where each item came from.",
    )


class EventBody(_Body):
    """Something that a user did with an item."""

    event_id: str = Field(min_length=1, max_length=128, description="The same id counts once.")
    user_id: Int64 | None = Field(None, description="Null: anonymous; it counts for trending only.")
    item_id: Int64
    type: str = Field("view", max_length=64, description="view, cart, purchase…")
    version: str | None = Field(
        None, max_length=63, description="Version of the reply that led here; left out: the person's own."
    )
    timestamp: float | None = Field(
        None, ge=0, le=1e11, description="Seconds since 1970, UTC; left out: now."
    )


class EventsBody(_Body):
    """A batch."""

    events: list[EventBody] = Field(max_length=1000)


def _or_problem(value: Any, validate: ValidatorFunctionWrapHandler) -> RecommendBody | Problem:
    try:
        return validate(value)  # type: ignore[no-any-return]
    except ValidationError as error:
        return _problem(error)


class BatchBody(_Body):
    """Many requests; what is wrong with one is told in its place and does not touch the others."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    requests: list[Annotated[RecommendBody, WrapValidator(_or_problem)]] = Field(
        max_length=BATCH_LIMIT,
        description="Answered by one version, in this order. With more than "
        f"{BATCH_ROWS // BATCH_LIMIT} candidates (spec.serving.candidates) fewer are allowed: requests times "
        f"candidates may not be more than {BATCH_ROWS}.",
    )


RECOMMEND = TypeAdapter(RecommendBody)
BATCH = TypeAdapter(BatchBody)
EVENTS = TypeAdapter(EventsBody)


def batch_limit(candidates: int) -> int:
    """Most requests in one call of a stack that ranks so many ``candidates`` of each."""
    return max(1, min(BATCH_LIMIT, BATCH_ROWS // candidates))


async def read(request: Request, adapter: TypeAdapter[T]) -> T:
    """The body; it is not read beyond the limit, whatever its header says."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_LIMIT:
            raise Problem(413, f"the body is longer than {BODY_LIMIT} bytes; send less at once")
    try:
        return adapter.validate_json(content or b"{}")
    except ValidationError as error:
        raise _problem(error) from None


def _problem(error: ValidationError) -> Problem:
    return Problem(422, problems.sentences(error.errors(include_url=False)))
