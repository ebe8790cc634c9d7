"""The HTTP interface of a serving pod."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest
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
from recstack_triton_templates.seen_keys import SeenKeys
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from recstack_gateway import metrics, openapi, problems
from recstack_gateway.browse import Browse
from recstack_gateway.errors import Busy, Unavailable
from recstack_gateway.events.event import Event
from recstack_gateway.events.writer import EventWriter
from recstack_gateway.pages import Pages
from recstack_gateway.plan import Behaviour, Plan
from recstack_gateway.problems import Problem
from recstack_gateway.shadow import Shadow
from recstack_gateway.statistics import Once
from recstack_gateway.telemetry import SILENT, Telemetry, answered
from recstack_gateway.version import Version
from recstack_gateway.versions import Versions

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
_Route = tuple[
    str,
    str,
    Callable[[Request], Awaitable[Response]],
    type[BaseModel] | None,
    type[BaseModel] | None,
    int,
]
"""Method, path, endpoint, models of body and reply, status when it is well."""
REFUSED, DEGRADED = b'{"problem"', b'"degraded":true}'
"""How the model's replies begin and end; they are JSON already and may be long, so nothing is parsed."""


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


_RECOMMEND = TypeAdapter(RecommendBody)
_BATCH = TypeAdapter(BatchBody)
_EVENTS = TypeAdapter(EventsBody)


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
        self._shadow, self._once = Shadow(versions.infer), Once()

    def app(self) -> FastAPI:
        """The application."""
        app = FastAPI(title="recstack gateway", version="1", docs_url=None, redoc_url=None)
        app.add_exception_handler(Problem, problems.handle)
        app.add_exception_handler(HTTPException, problems.handle_http)
        app.add_exception_handler(RequestValidationError, problems.handle_validation)
        routes: tuple[_Route, ...] = (
            ("POST", "/v1/recommend", self.recommend, RecommendBody, openapi.RecommendReply, 200),
            ("POST", "/v1/recommend:batch", self.recommend_batch, BatchBody, openapi.BatchReply, 200),
            ("POST", "/v1/events", self.events, EventsBody, openapi.EventsReply, 202),
            ("GET", "/v1/users/{user_id}/state", self.state, None, openapi.StateReply, 200),
            ("DELETE", "/v1/users/{user_id}/state", self.forget, None, None, 204),
            ("GET", "/versions", self.versions, None, openapi.VersionsReply, 200),
            ("GET", "/healthz", self.healthz, None, openapi.Status, 200),
            ("GET", "/readyz", self.readyz, None, openapi.Status, 200),
            ("GET", "/metrics", self.metrics, None, None, 200),
        )
        for method, path, endpoint, body, reply, status in routes:
            parameters = {"user_id": INT64_SCHEMA} if "{user_id}" in path else None
            app.add_api_route(
                path,
                endpoint,
                methods=[method],
                status_code=status,
                response_class=Response,
                openapi_extra=openapi.describe(body, reply, status, parameters),
            )
        models = [model for route in routes for model in route[3:5] if model is not None]
        app.openapi = lambda: openapi.document(app, models)  # type: ignore[method-assign]
        Browse(self._versions, events=self._events is not None).add_to(app)
        Pages().add_to(app)
        return app

    async def recommend(self, request: Request) -> Response:
        """Recommend items to a user, now, on this device."""
        return await self._timed(self._recommend, request, metrics.RECOMMEND)

    async def _recommend(self, request: Request) -> Response:
        body = await _read(request, _RECOMMEND)
        plan, version = self._chosen(body.user_id)
        line = _line(body, plan.serving.top_k)
        start = time.perf_counter()
        reply, version = await self._ask(version, line)
        seconds = time.perf_counter() - start
        metrics.INFER.observe(seconds)
        version.statistics.took(seconds)
        version.statistics.answered(1, _shows(reply))
        if plan.mirror is not None and (other := self._versions.proven(plan.mirror.version)) is not None:
            self._shadow.offer(other, plan.mirror.fraction, line, reply)
        if reply.startswith(REFUSED):
            raise _refusal(reply)
        if reply.endswith(DEGRADED):
            metrics.DEGRADED.inc()
        # The name is put in front.
        content = b'{"version":"%b",%b' % (version.planned.name.encode(), reply[1:])
        timing = {"Server-Timing": f"triton;dur={seconds * 1000:.3f}"}
        return Response(content, headers=timing, media_type="application/json")

    async def recommend_batch(self, request: Request) -> Response:
        """Recommend to many users in one call; for offline use, as it delays those who ask meanwhile."""
        return await self._timed(self._recommend_batch, request, metrics.BATCH)

    async def _recommend_batch(self, request: Request) -> Response:
        asked: list[RecommendBody | Problem] = list((await _read(request, _BATCH)).requests)
        plan, version = self._chosen(None)
        most = batch_limit(plan.serving.candidates)
        if len(asked) > most:
            raise Problem(
                422, f"requests: at most {most} in one call; this stack ranks many candidates of each"
            )
        parts: dict[Version, list[int]] = {}
        replies: list[bytes] = [b""] * len(asked)
        for place, one in enumerate(asked):
            if isinstance(one, Problem):
                replies[place] = problems.content(one).encode()
            else:
                parts.setdefault(self._versions.choose(one.user_id) or version, []).append(place)
        await asyncio.gather(*(self._ask_part(*part, asked, plan, replies) for part in parts.items()))
        live = (self._versions.route or version).planned.name.encode()
        content = b'{"version":"%b","replies":[%b]}' % (live, b",".join(replies))
        return Response(content, media_type="application/json")

    async def _timed(
        self, answer: Callable[[Request], Awaitable[Response]], request: Request, seconds: Histogram
    ) -> Response:
        """The answer, a problem turned into its reply; how long it took is observed by HTTP status."""
        start = time.perf_counter()
        with self._telemetry.request(request.url.path, request.headers) as span:
            try:
                response = await answer(request)
            except Problem as problem:
                response = problems.response(problem)
            answered(span, response.status_code)
        seconds.labels(response.status_code).observe(time.perf_counter() - start)
        return response

    async def _ask_part(
        self,
        version: Version,
        places: list[int],
        asked: Sequence["RecommendBody | Problem"],
        plan: Plan,
        replies: list[bytes],
    ) -> None:
        """Have one version answer its part of a batch, into ``replies``."""
        bodies = [one for place in places if not isinstance(one := asked[place], Problem)]
        lines = [_line(one, plan.serving.top_k) for one in bodies]
        content, version = await self._ask(version, b"\n".join(lines), len(lines))
        answers = content.split(b"\n")
        version.statistics.answered(len(answers), sum(map(_shows, answers)))
        metrics.DEGRADED.inc(sum(one.endswith(DEGRADED) for one in answers))
        name = version.planned.name.encode()
        for place, answer in zip(places, answers, strict=True):
            replies[place] = _in_place(name, answer)

    def _chosen(self, user: int | None) -> tuple[Plan, Version]:
        plan, version = self._versions.plan, self._versions.choose(user)
        if version is None or plan is None:
            raise Problem(503, "no version is live in this pod yet", {"Retry-After": "2"})
        return plan, version

    async def _ask(self, version: Version, content: bytes, requests: int = 1) -> tuple[bytes, Version]:
        """The reply, and the version that gave it: the live one where one that is being tried fails."""
        try:
            return await self._versions.infer(version, content), version
        except Unavailable as error:
            version.statistics.failed(requests)
            live = self._versions.route
            if live is not None and live is not version:
                return await self._ask(live, content, requests)
            if isinstance(error, Busy):
                raise Problem(503, f"{error}; ask again later", {"Retry-After": "1"}) from error
            raise Problem(503, f"{error}; it is being mended, ask again", {"Retry-After": "1"}) from error

    async def events(self, request: Request) -> Response:
        """Tell what users did; the items count as seen from the next recommendation on."""
        body = await _read(request, _EVENTS)
        plan, writer = self._store()
        now = time.time()
        events = [
            Event(
                one.event_id,
                one.user_id,
                one.item_id,
                one.type,
                now if one.timestamp is None else one.timestamp,
            )
            for one in body.events
        ]
        marks = _keys(plan, self._scope) if plan.serving.seen_filter.enabled else None
        try:
            found = await writer.accept(events, marks=marks, stream=plan.events is not None)
        except Unavailable as error:
            metrics.EVENTS.labels("unavailable").inc(len(body.events))
            raise Problem(503, str(error), {"Retry-After": "1"}) from error
        self._count_clicks(body.events)
        metrics.EVENTS.labels("new").inc(found.new)
        metrics.EVENTS.labels("known").inc(len(body.events) - found.new)
        return JSONResponse({"accepted": len(body.events), "new": found.new, "marked": found.marked}, 202)

    def _count_clicks(self, events: Sequence[EventBody]) -> None:
        plan = self._versions.plan
        for one in events:
            if plan is not None and one.type == plan.click_event and self._once.new(one.event_id):
                self._versions.clicked(one.version, one.user_id)

    async def state(self, request: Request) -> Response:
        """Tell what is kept of a user; nothing after it was forgotten."""
        user = _user(request)
        plan, writer = self._store()
        try:
            found = await writer.state(_keys(plan, self._scope), user, _follows(plan))
        except Unavailable as error:
            raise Problem(503, str(error), {"Retry-After": "1"}) from error
        recent = [{"id": item, "timestamp": seconds} for item, seconds in found.recent]
        value = {
            "recent": recent,
            "seen_filters": found.filters,
            "waiting_events": found.waiting,
            "behaviour_events": found.behaviour,
            "behaviour_features": found.features,
            "offline_waiting": found.offline,
        }
        return JSONResponse(value)

    async def forget(self, request: Request) -> Response:
        """Forget what is kept of a user."""
        user = _user(request)
        plan, writer = self._store()
        try:
            await writer.forget(_keys(plan, self._scope), user, _follows(plan))
        except Unavailable as error:
            raise Problem(503, str(error), {"Retry-After": "1"}) from error
        return Response(status_code=204)

    def _store(self) -> tuple[Plan, EventWriter]:
        plan = self._versions.plan
        if plan is None:
            raise Problem(503, "this pod has no plan yet", {"Retry-After": "2"})
        if self._events is None or not (plan.serving.seen_filter.enabled or plan.events):
            raise Problem(
                404,
                "events do nothing here: spec.events.enabled and spec.serving.seenFilter.enabled are false",
            )
        return plan, self._events

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


def batch_limit(candidates: int) -> int:
    """Most requests in one call of a stack that ranks so many ``candidates`` of each."""
    return max(1, min(BATCH_LIMIT, BATCH_ROWS // candidates))


class _Refusal(BaseModel):
    problem: str


def _line(body: RecommendBody, top: int) -> bytes:
    """The request as the model takes it."""
    return body.model_dump_json(exclude={"k"})[:-1].encode() + b',"k":%d}' % min(body.k or top, top)


def _shows(reply: bytes) -> bool:
    """Whether a reply has items."""
    return b'"items":[]' not in reply and not reply.startswith(REFUSED)


def _refusal(reply: bytes) -> Problem:
    return Problem(422, _Refusal.model_validate_json(reply).problem)


def _in_place(version: bytes, reply: bytes) -> bytes:
    """One reply within a batch: the model's own JSON with its version in front, or a problem."""
    if reply.startswith(REFUSED):
        return problems.content(_refusal(reply)).encode()
    return b'{"version":"%b",%b' % (version, reply[1:])


def _user(request: Request) -> int:
    text = request.path_params["user_id"]
    try:
        return TypeAdapter(Int64).validate_strings(text)
    except ValidationError:
        raise Problem(422, f"user_id: expected a 64-bit integer, got {text[:40]!r}") from None


def _follows(plan: Plan) -> Behaviour | None:
    return plan.events.behaviour if plan.events else None


def _keys(plan: Plan, scope: str) -> SeenKeys:
    seen = plan.serving.seen_filter
    return SeenKeys(scope, seen.capacity, seen.error_rate, seen.ttl_seconds)


async def _read(request: Request, adapter: TypeAdapter[T]) -> T:
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
