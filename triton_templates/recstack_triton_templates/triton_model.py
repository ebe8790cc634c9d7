"""The fused graph as a model of Triton's python backend."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import triton_python_backend_utils as triton  # given by the backend's stub

from recstack_triton_templates import package
from recstack_triton_templates.recommender import Recommender
from recstack_triton_templates.render import PACKAGE_LINK, REPLY, REQUEST, SETTINGS_FILE, ServingSettings
from recstack_triton_templates.seen_keys import SeenKeys
from recstack_triton_templates.seen_valkey import ValkeySeen


class TritonPythonModel:
    """What the stub calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the package behind the link beside the model file."""
        faiss.omp_set_num_threads(1)  # one request at a time; more threads only take each other's core
        model = Path(args["model_repository"])
        settings = ServingSettings(**json.loads((model / args["model_version"] / SETTINGS_FILE).read_bytes()))
        loaded = package.load(model / PACKAGE_LINK, gpu=args["model_instance_kind"] == "GPU")
        triton.Logger.log_info(f"{args['model_name']}: networks run on {loaded.ranker.provider}")
        self._recommender = Recommender(loaded, settings, _seen(settings), time.time)

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


def _seen(settings: ServingSettings) -> ValkeySeen | None:
    url = os.environ.get("VALKEY_URL")
    if not (url and settings.seen_filter):
        return None
    scope = f"{os.environ['RECSTACK_NAMESPACE']}/{os.environ['RECSTACK_STACK']}"
    keys = SeenKeys(scope, settings.seen_capacity, settings.seen_error_rate, settings.seen_ttl_seconds)
    return ValkeySeen(url, keys, time.time)
