"""Which device networks run on, as ONNX Runtime names it."""

import tempfile
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path


class Device(StrEnum):
    """Where networks run."""

    CPU = "CPU"
    CUDA = "CUDA"
    TENSORRT = "TensorRT"


_PROVIDERS: Mapping[Device, Sequence[str]] = {
    Device.CPU: ("CPUExecutionProvider",),
    Device.CUDA: ("CUDAExecutionProvider", "CPUExecutionProvider"),
    Device.TENSORRT: ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    # Engines are built for minutes; a model process that is started anew finds those of the one before.
    "TensorrtExecutionProvider": {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(Path(tempfile.gettempdir()) / "tensorrt"),
    },
    # The two networks share the device with each other and with other versions: no more than they use.
    "CUDAExecutionProvider": {"arena_extend_strategy": "kSameAsRequested"},
}


def providers(device: Device, there: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Execution providers with their options, the preferred first, of those that are ``there``.

    https://onnxruntime.ai/docs/execution-providers/
    """
    return [(name, dict(_OPTIONS.get(name, {}))) for name in _PROVIDERS[device] if name in there]
