"""Problem replies (RFC 9457)."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

CONTENT_TYPE = "application/problem+json"
DESCRIPTION: dict[str, Any] = {"description": "Problem (RFC 9457)", "content": {CONTENT_TYPE: {}}}
"""For OpenAPI."""


class Problem(Exception):
    """Ends a request with a problem reply; ``detail`` tells the caller what to do."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def content(problem: Problem) -> str:
    """The problem as JSON."""
    value = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    return json.dumps(value)


def response(problem: Problem) -> Response:
    """The reply of a problem."""
    return Response(content(problem), problem.status, headers=problem.headers, media_type=CONTENT_TYPE)


async def handle(request: Request, error: Exception) -> Response:
    """For the app: problems raised anywhere."""
    assert isinstance(error, Problem)
    return response(error)


async def handle_http(request: Request, error: Exception) -> Response:
    """For the app: unknown paths and methods."""
    status = int(getattr(error, "status_code", 500))
    detail = str(getattr(error, "detail", "")) + f": {request.method} {request.url.path}"
    return response(Problem(status, detail, getattr(error, "headers", None)))


async def handle_validation(request: Request, error: Exception) -> Response:
    """For the app: parameters that FastAPI refuses."""
    assert isinstance(error, RequestValidationError)
    return response(Problem(422, sentences(error.errors())))


def sentences(errors: Sequence[Any]) -> str:
    """What pydantic refused, the first five."""
    return "; ".join(_sentence(one) for one in errors[:5])


def _sentence(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])
