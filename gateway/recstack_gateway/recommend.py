"""``/v1/recommend`` and its batch: a request's way to the version that answers it, and back."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import Histogram
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from recstack_gateway import bodies, metrics, problems
from recstack_gateway.bodies import RecommendBody, batch_limit
from recstack_gateway.errors import Busy, Unavailable
from recstack_gateway.plan import Plan
from recstack_gateway.problems import Problem
from recstack_gateway.shadow import Shadow
from recstack_gateway.telemetry import Telemetry, answered
from recstack_gateway.version import Version
from recstack_gateway.versions import Versions

REFUSED, DEGRADED = b'{"problem"', b'"degraded":true}'
"""How the model's replies begin and end; they are JSON already and may be long, so nothing is parsed."""


class Recommend:
    """The endpoints."""

    def __init__(self, versions: Versions, telemetry: Telemetry) -> None:
        self._versions, self._telemetry = versions, telemetry
        self._shadow = Shadow(versions.infer)

    async def recommend(self, request: Request) -> Response:
        """Recommend items to a user, now, on this device."""
        return await self._timed(self._recommend, request, metrics.RECOMMEND)

    async def _recommend(self, request: Request) -> Response:
        body = await bodies.read(request, bodies.RECOMMEND)
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

    async def batch(self, request: Request) -> Response:
        """Recommend to many users in one call; for offline use, as it delays those who ask meanwhile."""
        return await self._timed(self._batch, request, metrics.BATCH)

    async def _batch(self, request: Request) -> Response:
        asked: list[RecommendBody | Problem] = list((await bodies.read(request, bodies.BATCH)).requests)
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
        with self._telemetry.request(request.scope["path"], request.headers) as span:
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
        asked: Sequence[RecommendBody | Problem],
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
