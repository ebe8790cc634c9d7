"""Embedding of the query."""

from collections.abc import Mapping
from pathlib import Path

from recstack_triton_templates.stages.device import Device
from recstack_triton_templates.stages.onnx import Network
from recstack_triton_templates.stages.transforms import Array


class QueryTower:
    """``query_tower.onnx``: user features [N] to float32 embeddings [N, D] of length 1."""

    def __init__(self, path: Path, device: Device = Device.CPU) -> None:
        self._network = Network(path, device)

    def __call__(self, user: Mapping[str, Array]) -> Array:
        """Embeddings [N, D] of encoded user features [N]."""
        return self._network(user)
