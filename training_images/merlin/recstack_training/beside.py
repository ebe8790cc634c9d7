"""NVTabular beside a model: runs for the model processes of its pod what of their packages is not compiled.

One line of JSON a call, over a Unix socket: {"workflow": folder, "values": [numbers]} gets
{"values": [numbers]} or {"error": text}. The socket appears when calls are answered.
"""

import json
import socketserver
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from recstack_triton_templates.stages.transforms import Array

from recstack_training import operators, workflows

WORKFLOWS = 64
"""That are kept loaded."""


class Operators:
    """The workflows of packages below ``root``; calls come from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._lock = threading.Lock()
        self._load = lru_cache(WORKFLOWS)(workflows.load)

    def answer(self, line: bytes) -> dict[str, Any]:
        """What a call gets."""
        try:
            asked = json.loads(line)
            values = np.array(asked["values"], dtype=np.float64)
            return {"values": self._run(Path(asked["workflow"]), values).tolist()}
        except Exception as error:  # of a user's function, too: the caller is told, and the next one answered
            return {"error": f"{type(error).__name__}: {error}"}

    def _run(self, folder: Path, values: Array) -> Array:
        folder = folder.resolve()
        if not folder.is_relative_to(self._root):
            raise ValueError(f"{folder} is not below {self._root}")
        with self._lock:
            workflow = self._load(folder)
            return operators.run(workflow, values) if len(values) else values


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        for line in self.rfile:
            self.wfile.write(json.dumps(server.operators.answer(line)).encode() + b"\n")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers calls until it is shut down."""

    daemon_threads = True

    def __init__(self, address: Path, operators: Operators) -> None:
        address.unlink(missing_ok=True)  # of a container before
        self.operators = operators
        super().__init__(str(address), _Handler)


def main() -> None:
    """``python -m recstack_training.beside SOCKET``: packages lie below the socket's folder."""
    address = Path(sys.argv[1])
    with Server(address, Operators(address.parent)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
