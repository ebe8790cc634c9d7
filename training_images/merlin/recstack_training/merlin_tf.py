"""The one door to TensorFlow and Merlin.

merlin-models 23.12 was written for TensorFlow 2.12. On 2.15 three private modules have moved; they are
aliased here before its first import. Merlin also warns at import of deprecations in its own code that a user
can do nothing about; those are silenced, nothing else is.
"""

import importlib
import os
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")
# Merlin imports transformers where it is installed, which tells at once that it knows Keras 2 only.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

_KERAS_MODULES = (
    "engine",
    "engine.compile_utils",
    "layers",
    "layers.preprocessing",
    "layers.preprocessing.preprocessing_utils",
    "saving",
    "saving.saving_lib",
    "utils.control_flow_util",
    "utils.generic_utils",
    "utils.layer_utils",
    "utils.losses_utils",
    "utils.metrics_utils",
    "utils.tf_inspect",
)


def _alias() -> None:
    """Put moved modules back where merlin-models looks for them. Idempotent."""
    import tensorflow as tf

    dlpack: Any = types.ModuleType("tensorflow.python.to_dlpack")
    dlpack.to_dlpack = tf.experimental.dlpack.to_dlpack
    dlpack.from_dlpack = tf.experimental.dlpack.from_dlpack
    sys.modules.setdefault("tensorflow.python.to_dlpack", dlpack)
    import tensorflow.python as private

    if not hasattr(private, "to_dlpack"):
        private.to_dlpack = tf.experimental.dlpack.to_dlpack
    tracking = types.ModuleType("tensorflow.python.training.tracking")
    tracking.__path__ = []
    sys.modules.setdefault("tensorflow.python.training.tracking", tracking)
    sys.modules.setdefault(
        "tensorflow.python.training.tracking.data_structures",
        importlib.import_module("tensorflow.python.trackable.data_structures"),
    )
    for name in _KERAS_MODULES:
        sys.modules.setdefault(f"keras.{name}", importlib.import_module(f"keras.src.{name}"))


@contextmanager
def on_cpu() -> Iterator[None]:
    """Without Merlin's warning, at each of its many ``Dataset``, that a CPU is a CPU."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing an NVTabular Dataset in CPU mode", UserWarning)
        yield


def dataset(*args: Any, **kwargs: Any) -> Any:
    """``merlin.io.Dataset``, quietly."""
    from merlin.io import Dataset

    with on_cpu():
        return Dataset(*args, **kwargs)


def load() -> tuple[Any, Any]:
    """Return ``(tensorflow, merlin.models.tf)``; imports take about 15 s the first time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _alias()
        import merlin.models.tf as mm
        import tensorflow as tf
    return tf, mm
