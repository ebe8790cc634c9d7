"""``/v1/events`` and what is kept of a user."""

import time
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError
from recstack_triton_templates.seen_keys import SeenKeys
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from recstack_gateway import bodies, metrics
from recstack_gateway.bodies import EventBody, Int64
from recstack_gateway.errors import Unavailable
from recstack_gateway.events.event import Event
from recstack_gateway.events.writer import EventWriter
from recstack_gateway.plan import Behaviour, Plan
from recstack_gateway.problems import Problem
from recstack_gateway.statistics import Once
from recstack_gateway.versions import Versions


class EventEndpoints:
    """The endpoints. ``events`` None: the pod has no Valkey."""

    def __init__(self, versions: Versions, events: EventWriter | None, scope: str) -> None:
        self._versions, self._events, self._scope = versions, events, scope
        self._once = Once()

    async def events(self, request: Request) -> Response:
        """Tell what users did; the items count as seen from the next recommendation on."""
        body = await bodies.read(request, bodies.EVENTS)
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
