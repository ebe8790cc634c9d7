"""The fused graph as a model of Triton's python backend."""

import time
import traceback
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
import triton_python_backend_utils as triton  # given by the backend's stub

from recstack_triton_templates import pacing, package
from recstack_triton_templates.graph import REPLY, REQUEST, TIMES
from recstack_triton_templates.recommender import Recommender, Run
from recstack_triton_templates.triton_place import items, online, place, trending


class TritonPythonModel:
    """What the stub calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the package behind the link beside the model file."""
        faiss.omp_set_num_threads(1)  # one request at a time; more threads only take each other's core
        here = place(args)
        loaded = package.load(here.package, here.device)
        triton.Logger.log_info(f"{args['model_name']}: networks run on {loaded.ranker.provider}")
        self._items = items(here, loaded, triton.Logger.log_warn)
        self._recommender = Recommender(
            loaded,
            here.settings,
            online(here, loaded),
            time.time,
            items=self._items,
            trending=trending(here),
        )
        pacing.end()

    def finalize(self) -> None:
        """End what runs beside."""
        if self._items is not None:
            self._items.stop()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response a request, all answered in one run; an error of one is not the others'."""
        contents = [triton.get_input_tensor_by_name(one, REQUEST).as_numpy().tobytes() for one in requests]
        if len(contents) > 1:
            try:
                return _responses(self._recommender.run(contents))
            except Exception:  # of one of them: each by itself tells which
                triton.Logger.log_warn(traceback.format_exc())
        return [self._respond(content) for content in contents]

    def _respond(self, content: bytes) -> Any:
        try:
            return _responses(self._recommender.run([content]))[0]
        except Exception as error:  # the caller gets it, and the model lives on
            return triton.InferenceResponse(error=triton.TritonError(f"{type(error).__name__}: {error}"))


def _responses(run: Run) -> list[Any]:
    return [
        triton.InferenceResponse(
            [
                triton.Tensor(REPLY, np.frombuffer(reply, np.uint8)[None]),
                triton.Tensor(TIMES, run.stages[None]),
            ]
        )
        for reply in run.replies
    ]
