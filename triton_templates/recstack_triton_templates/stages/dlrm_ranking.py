"""Probability of interest in each candidate."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recstack_triton_templates.stages.device import Device
from recstack_triton_templates.stages.onnx import Network
from recstack_triton_templates.stages.transforms import Array

ROWS = 2048
"""Rows of one run, of a batch of requests: what lies between the layers stays small, and so does memory."""


class Ranker:
    """``ranker.onnx``: user, item and context features [N, 1], embeddings [N, width], to scores [N, 1]."""

    def __init__(self, path: Path, device: Device = Device.CPU) -> None:
        self._network = Network(path, device)
        self.provider = self._network.provider

    def __call__(self, features: Mapping[str, Array], rows: int) -> Array:
        """Scores float32 [rows] of encoded features [rows, 1] and embeddings [rows, width]."""
        if rows == 0:
            return np.zeros(0, np.float32)
        parts = []
        for start in range(0, rows, ROWS):
            parts.append(self._network({n: v[start : start + ROWS] for n, v in features.items()}).reshape(-1))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
