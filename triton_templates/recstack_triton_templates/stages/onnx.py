"""ONNX Runtime as both networks use it."""

from collections.abc import Mapping
from pathlib import Path

import onnxruntime

from recstack_triton_templates.stages.device import Device, providers
from recstack_triton_templates.stages.transforms import Array


class Network:
    """One ONNX graph with one output; a call of a small network is fastest on one thread.

    ``device`` is where it is wanted; where this ONNX Runtime has no such provider it takes the next, at last
    the CPU; ``provider`` says which.
    """

    def __init__(self, path: Path, device: Device = Device.CPU) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        there = onnxruntime.get_available_providers()
        self._session = onnxruntime.InferenceSession(str(path), options, providers(device, there))
        self.rows = {value.name: value.shape[0] for value in self._session.get_inputs()}
        """First dimension of each input: a number, or its name in the graph."""
        self.provider: str = self._session.get_providers()[0]

    def __call__(self, feed: Mapping[str, Array]) -> Array:
        """The graph's output; ``feed`` may hold more than it takes. KeyError: an input is missing."""
        result: Array = self._session.run(None, {name: feed[name] for name in self.rows})[0]
        return result
