"""A server with BF.*: Valkey with the module that RECSTACK_VALKEY_BLOOM names, else one that speaks the same.

The module is not in Debian, and its source is where a fresh clone's tests do not reach.
"""

from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Protocol, Self

from fakeredis import TcpFakeServer

from tests.serving.valkey_server import MODULE, ValkeyServer, free_port


class Server(Protocol):
    """What tests do with one."""

    @property
    def url(self) -> str:
        """Where it is."""
        ...

    def stop(self) -> None:
        """From now on nobody answers."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class StandIn:
    """Bloom filters in Python, behind Valkey's protocol."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: TcpFakeServer | None = None

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self._port}/0"

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self._server = TcpFakeServer(("127.0.0.1", self._port), server_type="valkey")
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def bloom_server(folder: Path) -> Server:
    """Not started yet."""
    return ValkeyServer(folder, MODULE) if MODULE else StandIn()
