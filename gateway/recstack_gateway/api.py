"""The HTTP interface of a serving pod."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from recstack_gateway import bodies, metrics, openapi, problems
from recstack_gateway.browse import Browse
from recstack_gateway.events.endpoints import EventEndpoints
from recstack_gateway.events.writer import EventWriter
from recstack_gateway.pages import Pages
from recstack_gateway.problems import Problem
from recstack_gateway.recommend import Recommend
from recstack_gateway.telemetry import SILENT, Telemetry
from recstack_gateway.versions import Versions

_Route = tuple[
    str,
    str,
    Callable[[Request], Awaitable[Response]],
    type[BaseModel] | None,
    type[BaseModel] | None,
    int,
]
"""Method, path, endpoint, models of body and reply, status when it is well."""


class _Bare(APIRoute):
    """Documented as any other; its endpoint reads the request itself, so there is nothing to prepare."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint."""
        return self.endpoint


class Api:
    """The routes. ``events`` None: the pod has no Valkey."""

    def __init__(
        self,
        versions: Versions,
        events: EventWriter | None,
        scope: str,
        alive: Callable[[], bool],
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._versions, self._events, self._scope, self._alive = versions, events, scope, alive
        self._telemetry = telemetry

    def app(self) -> FastAPI:
        """The application."""
        recommend = Recommend(self._versions, self._telemetry)
        events = EventEndpoints(self._versions, self._events, self._scope)
        app = FastAPI(title="recstack gateway", version="1", docs_url=None, redoc_url=None)
        app.add_exception_handler(Problem, problems.handle)
        app.add_exception_handler(HTTPException, problems.handle_http)
        app.add_exception_handler(RequestValidationError, problems.handle_validation)
        routes: tuple[_Route, ...] = (
            ("POST", "/v1/recommend", recommend.recommend, bodies.RecommendBody, openapi.RecommendReply, 200),
            ("POST", "/v1/recommend:batch", recommend.batch, bodies.BatchBody, openapi.BatchReply, 200),
            ("POST", "/v1/events", events.events, bodies.EventsBody, openapi.EventsReply, 202),
            ("GET", "/v1/users/{user_id}/state", events.state, None, openapi.StateReply, 200),
            ("DELETE", "/v1/users/{user_id}/state", events.forget, None, None, 204),
            ("GET", "/versions", self.versions, None, openapi.VersionsReply, 200),
            ("GET", "/healthz", self.healthz, None, openapi.Status, 200),
            ("GET", "/readyz", self.readyz, None, openapi.Status, 200),
            ("GET", "/metrics", self.metrics, None, None, 200),
        )
        for method, path, endpoint, body, reply, status in routes:
            parameters = {"user_id": bodies.INT64_SCHEMA} if "{user_id}" in path else None
            app.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                status_code=status,
                response_class=Response,
                openapi_extra=openapi.describe(body, reply, status, parameters),
                route_class_override=_Bare,
            )
        models = [model for route in routes for model in route[3:5] if model is not None]
        app.openapi = lambda: openapi.document(app, models)  # type: ignore[method-assign]
        Browse(self._versions, events=self._events is not None).add_to(app)
        Pages().add_to(app)
        return app

    async def versions(self, request: Request) -> Response:
        """State of every version in this pod."""
        return JSONResponse(self._versions.report())

    async def healthz(self, request: Request) -> Response:
        """Whether this process moves."""
        if not self._alive():
            raise Problem(503, "a task of this process has ended; it must be started again")
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Whether the version that answers made a real inference lately."""
        if not self._versions.ready():
            raise Problem(503, "no version answered a real inference lately")
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        metrics.WAITS.waited = await self._versions.waited()
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
