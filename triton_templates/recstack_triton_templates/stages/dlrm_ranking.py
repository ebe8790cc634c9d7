"""Probability of interest in each candidate."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recstack_triton_templates.stages.device import Device
from recstack_triton_templates.stages.onnx import Network
from recstack_triton_templates.stages.transforms import Array

REQUESTS = "requests"
"""Name of the first dimension of inputs of which one row may stand for all candidates."""
ROWS = 2048
"""Rows of one run: what lies between the layers stays small, and so does memory."""


class Ranker:
    """``ranker.onnx``: user, item and context features [N, 1], embeddings [N, width], to scores [N, 1].

    Users and contexts have one row where the graph says that it takes them so: what follows from them alone
    is worked out once for all candidates of a request.
    """

    def __init__(self, path: Path, device: Device = Device.CPU) -> None:
        self._network = Network(path, device)
        self.provider = self._network.provider

    def __call__(self, features: Mapping[str, Array], rows: int) -> Array:
        """Scores float32 [rows] of candidates.

        ``features``: encoded, [rows, 1]; those of users and contexts [1, 1] where all rows are one request's;
        embeddings [rows, width].
        """
        if rows == 0:
            return np.zeros(0, np.float32)
        feed = {name: self._feed(name, features[name], rows) for name in self._network.rows}
        parts = []
        for start in range(0, rows, ROWS):
            part = {n: v if len(v) == 1 else v[start : start + ROWS] for n, v in feed.items()}
            parts.append(self._network(part).reshape(-1))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _feed(self, name: str, values: Array, rows: int) -> Array:
        if len(values) == rows or self._network.rows[name] == REQUESTS:
            return values
        return np.repeat(values, rows, axis=0)
