"""The fused graph as a model of Triton's python backend."""

import time
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
import triton_python_backend_utils as triton  # given by the backend's stub

from recstack_triton_templates import package
from recstack_triton_templates.graph import REPLY, REQUEST
from recstack_triton_templates.recommender import Recommender
from recstack_triton_templates.triton_place import place


class TritonPythonModel:
    """What the stub calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the package behind the link beside the model file."""
        faiss.omp_set_num_threads(1)  # one request at a time; more threads only take each other's core
        here = place(args)
        loaded = package.load(here.package, here.gpu)
        triton.Logger.log_info(f"{args['model_name']}: networks run on {loaded.ranker.provider}")
        self._recommender = Recommender(loaded, here.settings, here.seen, time.time)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response a request; an error of one is not the others'."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        content = triton.get_input_tensor_by_name(request, REQUEST).as_numpy().tobytes()
        try:
            reply = self._recommender.answer(content)
        except Exception as error:  # the caller gets it, and the model lives on
            return triton.InferenceResponse(error=triton.TritonError(f"{type(error).__name__}: {error}"))
        return triton.InferenceResponse([triton.Tensor(REPLY, np.frombuffer(reply, np.uint8))])
