"""Asking a cluster how it is."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from recstack_lab.config import LabError


def apiserver_ready(address: str, port: int, ca: Path) -> bool:
    """Whether /readyz answers 200, with the cluster's own certificate."""
    try:
        context = ssl.create_default_context(cafile=str(ca))
        connection = http.client.HTTPSConnection(address, port, timeout=3, context=context)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float, alive: Callable[[], str | None] = lambda: None
) -> None:
    """Wait for a condition; stop at once when `alive` says why it can never come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        dead = alive()
        if dead:
            raise LabError(f"{what}: {dead}")
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)
