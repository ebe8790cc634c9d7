"""Probability of interest in each candidate."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recstack_triton_templates.stages.onnx import Network
from recstack_triton_templates.stages.transforms import Array


class Ranker:
    """``ranker.onnx``: user, item and context features [N, 1] to scores [N, 1]."""

    def __init__(self, path: Path, gpu: bool = False) -> None:
        self._network = Network(path, gpu)
        self.provider = self._network.provider

    def __call__(self, features: Mapping[str, Array], rows: int) -> Array:
        """Scores float32 [rows] of encoded features [rows, 1]."""
        if rows == 0:
            return np.zeros(0, np.float32)
        return self._network(features).reshape(rows)
