"""A stage of the ensemble as a model of Triton's python backend; its name says which."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import triton_python_backend_utils as triton  # given by the backend's stub

from recstack_triton_templates import pacing
from recstack_triton_templates.graph import STAGES, part_name
from recstack_triton_templates.package import Package
from recstack_triton_templates.parts import Parts
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.triton_place import items, online, place, trending


class TritonPythonModel:
    """What the stub calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read what the stage needs of the package."""
        here = place(args)
        self._inputs = STAGES[here.stage].inputs
        self._retrieval = part_name("faiss_retrieval", here.version)
        package = Package(here.package, here.device)
        self._items = items(here, package, triton.Logger.log_warn)
        parts = Parts(
            package,
            here.settings,
            online(here, package),
            time.time,
            self._retrieve,
            items=self._items,
            trending=trending(here),
        )
        parts.warm(here.stage)
        pacing.end()
        self._call = partial(parts.run, here.stage)

    def finalize(self) -> None:
        """End what runs beside."""
        if self._items is not None:
            self._items.stop()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response a request; an error of one is not the others'."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        inputs = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
        try:
            outputs = self._call(inputs)
        except Exception as error:  # the caller gets it, and the model lives on
            return triton.InferenceResponse(error=triton.TritonError(f"{type(error).__name__}: {error}"))
        return triton.InferenceResponse(
            [triton.Tensor(name, np.ascontiguousarray(value)) for name, value in outputs.items()]
        )

    def _retrieve(self, query: Array, count: int) -> Array:
        """Rows [n] for a query [1, D], by the retrieval stage beside this one."""
        inputs = [triton.Tensor("QUERY", query), triton.Tensor("FETCH", np.array([count], np.int64))]
        request = triton.InferenceRequest(
            model_name=self._retrieval, inputs=inputs, requested_output_names=["ROWS"]
        )
        response = request.exec()
        if response.has_error():
            raise RuntimeError(response.error().message())
        rows = triton.get_output_tensor_by_name(response, "ROWS").as_numpy()[0]
        found: Array = rows[rows >= 0]
        return found
