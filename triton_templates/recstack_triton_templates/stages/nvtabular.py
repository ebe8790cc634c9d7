"""What is not compiled: NVTabular runs it in a container beside this one, of the training image.

A workflow's call takes milliseconds there, whatever it does (pandas, a graph of operators), so what it
said of a value is kept. See ``recstack_training/beside.py`` for the other side.
"""

import json
import math
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from recstack_triton_templates.stages.transforms import Array

SOCKET = "NVTABULAR_SOCKET"
"""Variable with the address; where it is not set nothing answers."""
KEPT = 65_536
"""Values that are kept of each operator."""
START_SECONDS = 120.0
CALL_SECONDS = 1.5
"""Less than the gateway waits for the model."""


class NotBeside(RuntimeError):
    """NVTabular does not answer, or cannot run the operator."""


class Beside:
    """Operators of one package.

    Args:
        address: of the socket.
        package: folder that both containers see under the same path.
    """

    def __init__(self, address: str, package: Path) -> None:
        self._address, self._package = address, package.resolve()
        self._known: dict[str, dict[float | None, float]] = {}

    def __call__(self, workflow: str) -> Callable[[Array], Array]:
        """The operator of a folder of the package: numbers [N] of numbers [N], float32."""
        return partial(self._run, workflow)

    def wait(self, workflows: list[str], seconds: float = START_SECONDS) -> None:
        """Until all are loaded there.

        Raises:
            NotBeside: they are not within ``seconds``.
        """
        end = time.monotonic() + seconds
        for workflow in workflows:
            while True:
                try:
                    self._ask(workflow, [], seconds)
                    break
                except NotBeside:
                    if time.monotonic() > end:
                        raise
                time.sleep(0.2)

    def _run(self, workflow: str, values: Array) -> Array:
        known = self._known.get(workflow, {})
        # NaN is not equal to itself.
        keys = [None if math.isnan(value) else value for value in values.tolist()]
        new = [key for key in dict.fromkeys(keys) if key not in known]
        if new:
            asked = [float("nan") if key is None else key for key in new]
            made = dict(zip(new, self._ask(workflow, asked, CALL_SECONDS), strict=True))
            known = made | known if len(known) < KEPT else made | {k: known[k] for k in keys if k in known}
            self._known[workflow] = known
        return np.array([known[key] for key in keys], np.float32)

    def _ask(self, workflow: str, values: list[float], seconds: float) -> list[float]:
        call = {"workflow": str(self._package / workflow), "values": values}
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(seconds)
                connection.connect(self._address)
                with connection.makefile("rwb") as stream:
                    stream.write(json.dumps(call).encode() + b"\n")
                    stream.flush()
                    answer = json.loads(stream.readline() or b"{}")
        except (OSError, ValueError) as error:
            raise NotBeside(f"NVTabular does not answer beside this model: {error}") from error
        if "values" not in answer:
            raise NotBeside(f"NVTabular cannot run {workflow}: {answer.get('error', 'it ended')}")
        found: list[float] = answer["values"]
        return found


def beside(package: Path) -> Beside:
    """Where this process finds it.

    Raises:
        NotBeside: it has none.
    """
    address = os.environ.get(SOCKET)
    if not address:
        raise NotBeside(f"the package has operators that are not compiled, and {SOCKET} is not set")
    return Beside(address, package)
