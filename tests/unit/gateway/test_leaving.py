"""A gateway that was told to stop: it answers on, and each answer ends its connection."""

import signal

import pytest
import uvicorn
from recstack_gateway import leaving
from recstack_gateway.leaving import CLOSE, Leaving, Server
from starlette.types import Message, Receive, Scope, Send


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
    await send({"type": "http.response.body", "body": b"answer"})


async def _ask(app: Leaving) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    await app({"type": "http"}, receive, send)
    return sent


async def test_told_to_stop_it_answers_on_and_ends_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Leaving(_app)
    server = Server(uvicorn.Config(app), app)
    start, _ = await _ask(app)
    assert CLOSE not in start["headers"]
    server.handle_exit(signal.SIGTERM, None)
    assert not await server.on_tick(1)
    start, body = await _ask(app)
    assert start["headers"] == [(b"x", b"y"), CLOSE]
    assert body["body"] == b"answer"
    monkeypatch.setattr(leaving, "LEAVE_SECONDS", 0.0)
    server = Server(uvicorn.Config(app), other := Leaving(_app))
    server.handle_exit(signal.SIGTERM, None)
    assert other.begun
    assert await server.on_tick(1)


async def test_a_second_signal_stops_it_at_once() -> None:
    app = Leaving(_app)
    server = Server(uvicorn.Config(app), app)
    server.handle_exit(signal.SIGTERM, None)
    server.handle_exit(signal.SIGTERM, None)
    assert await server.on_tick(1)
