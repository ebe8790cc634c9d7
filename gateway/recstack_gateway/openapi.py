"""What the OpenAPI document says of routes that read and write their bodies themselves, to save time."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from recstack_gateway import problems

_REFERENCE = "#/components/schemas/{model}"


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RecommendedItem(_Reply):
    """``source`` and ``source_rank`` (from 1, before ranking) only when the request asked to explain."""

    id: int
    score: float
    title: str | None
    source: str | None = None
    source_rank: int | None = Field(None, ge=1)


class Explanation(_Reply):
    """Milliseconds by stage, candidates by step."""

    stages: dict[str, float]
    candidates: dict[str, int]


class RecommendReply(_Reply):
    """Best first, answered wholly by ``version``. ``degraded``: what the user saw could not be read."""

    version: str
    items: list[RecommendedItem]
    degraded: bool
    explain: Explanation | None = None


class ProblemReply(_Reply):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


class BatchReply(_Reply):
    """In the order of the requests; ``version`` is the live one, each reply names its own."""

    version: str
    replies: list[RecommendReply | ProblemReply]


class EventsReply(_Reply):
    """Events taken, how many of them were not told before, and how many of those were a user's."""

    accepted: int
    new: int
    marked: int


class RecentItem(_Reply):
    """An item that a user met, and when last, seconds since 1970, UTC."""

    id: int
    timestamp: float


class StateReply(_Reply):
    """What is kept of a user: recent items, filters of what was seen, events that wait or were put aside.

    ``behaviour_events``: those that features follow from; ``behaviour_features``: what followed, by column;
    ``offline_waiting``: rows of them on their way to the offline store, or, of a forgotten user, out of it.
    """

    recent: list[RecentItem]
    seen_filters: int
    waiting_events: int
    behaviour_events: int
    behaviour_features: dict[str, int | float | str | bool | None]
    offline_waiting: int


class VersionReply(_Reply):
    """One version in this pod, and what it was counted to do."""

    model_config = ConfigDict(extra="allow")
    state: str
    message: str
    digest: str


class VersionsReply(_Reply):
    """By name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, VersionReply]


class Status(_Reply):
    """It is well."""

    status: str


def describe(
    body: type[BaseModel] | None,
    reply: type[BaseModel] | None,
    status: int,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Of one route; ``reply`` None: no JSON; ``parameters``: schemas of the path's parts."""
    done: dict[str, Any] = {"description": "Done"}
    if reply is not None:
        done["content"] = {"application/json": {"schema": _schema(reply)}}
    elif status == 200:
        done["content"] = {"text/plain": {"schema": {"type": "string"}}}
    described: dict[str, Any] = {"responses": {str(status): done, "default": problems.DESCRIPTION}}
    if body is not None:
        required = any(field.is_required() for field in body.model_fields.values())
        content = {"application/json": {"schema": _schema(body)}}
        described["requestBody"] = {"content": content, "required": required}
    if parameters:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": dict(schema)}
            for name, schema in parameters.items()
        ]
    return described


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def document(app: FastAPI, models: list[type[BaseModel]]) -> dict[str, Any]:
    """The document of ``app``, with the schemas of ``models`` and of what they are made of."""
    made = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for model in models:
        schema = model.model_json_schema(ref_template=_REFERENCE)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    return made
