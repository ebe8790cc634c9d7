"""A stage of the reference as a model of Triton's python backend; its name says which."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton  # given by the backend's stub

from benchmarks.serving.baseline import stages
from benchmarks.serving.baseline.repository import CACHED_LOOKUP, STAGES, BaselineSettings


class TritonPythonModel:
    """What the stub calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Make the stage."""
        name = args["model_name"]
        settings = BaselineSettings(
            **json.loads((Path(args["model_repository"]).parent / "settings.json").read_text())
        )
        self._inputs, self._outputs = STAGES[name.removesuffix("-cached")]
        warnings.simplefilter("ignore")  # pandas' own, at each request; nobody reads them here
        self._call = stages.make(name.removesuffix("-cached"), settings, cached=name == CACHED_LOOKUP)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response a request."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        inputs = [triton.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs]
        try:
            values = self._call(*inputs)
        except Exception as error:
            return triton.InferenceResponse(error=triton.TritonError(f"{type(error).__name__}: {error}"))
        return triton.InferenceResponse(
            [
                triton.Tensor(name, np.ascontiguousarray(value))
                for name, value in zip(self._outputs, values, strict=True)
            ]
        )
