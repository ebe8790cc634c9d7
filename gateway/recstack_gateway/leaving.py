"""How a gateway goes: callers first.

Told to stop, it answers on until no proxy leads here any more, and ends each connection with its answer. A
connection that is only closed when nobody uses it cuts off the caller who was just about to.
"""

import signal
import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAVE_SECONDS = 5.0
"""Until every proxy of a cluster has taken the pod from its list."""
CLOSE = (b"connection", b"close")


class Leaving:
    """``app``, whose answers end their connections once ``begun`` is set."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self.begun = app, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self.begun:
                message["headers"] = [*message.get("headers", ()), CLOSE]
            await send(message)

        await self._app(scope, receive, closing)


class Server(uvicorn.Server):
    """A server that leaves for ``LEAVE_SECONDS`` before it stops; a second signal stops it at once."""

    def __init__(self, config: uvicorn.Config, app: Leaving) -> None:
        super().__init__(config)
        self._leaving, self._ends = app, float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On a signal."""
        if self._leaving.begun or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
        self._leaving.begun, self._ends = True, time.monotonic() + LEAVE_SECONDS

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; whether it stops now."""
        self.should_exit = self.should_exit or time.monotonic() >= self._ends
        return await super().on_tick(counter)
