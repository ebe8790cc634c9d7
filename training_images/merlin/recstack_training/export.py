"""Keras to ONNX, with the input and output names that serving relies on."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from recstack_triton_templates.stages.transforms import Array

from recstack_training.folding import fold
from recstack_training.merlin_tf import load

OPSET = 17


def to_onnx(
    call: Callable[[dict[str, Any]], Any],
    inputs: Mapping[str, int],
    column: bool,
    output: str,
    path: Path,
    *,
    vectors: Mapping[str, int] | None = None,
    once: Collection[str] = (),
) -> None:
    """Convert ``call`` (dict of tensors to one tensor).

    ``inputs`` has the number of codes by name (0: float32, else int64), in order. Each is [N], or [N, 1] with
    ``column``; inside, Merlin always gets [N, 1]. After those come ``vectors``, float32 [N, width], by name.
    ``once``: inputs of which one row may stand for all N.
    """
    tf, _ = load()
    import onnx
    import tf2onnx

    signature = [
        tf.TensorSpec([None, 1] if column else [None], tf.int64 if size else tf.float32, name=name)
        for name, size in inputs.items()
    ]
    widths = vectors or {}
    signature += [tf.TensorSpec([None, width], tf.float32, name=name) for name, width in widths.items()]
    every = [*inputs, *widths]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def function(*tensors: Any) -> Any:
        features = dict(zip(every, tensors, strict=True))
        if not column:
            features |= {name: tf.expand_dims(features[name], 1) for name in inputs}
        return {output: call(features)}

    model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    names = [value.name for value in model.graph.input]
    if sorted(names) != sorted(every) or [v.name for v in model.graph.output] != [output]:
        raise RuntimeError(f"ONNX graph has inputs {names} and outputs {model.graph.output}")
    fold(model, once)
    rename(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def rename(graph: Any) -> None:
    """Number all inner names of a flat ONNX graph in the order of its nodes.

    tf2onnx chooses among equal constants in the order of a set: equal models would differ in names only.
    """
    kept = {value.name for value in (*graph.input, *graph.output)}
    names: dict[str, str] = {"": ""} | {name: name for name in kept}
    for number, node in enumerate(graph.node):
        node.name = f"n{number}"
        for side in (node.input, node.output):
            side[:] = [names.setdefault(name, f"t{len(names)}") for name in side]
    constants = sorted(graph.initializer, key=lambda c: names.setdefault(c.name, f"t{len(names)}"))
    del graph.value_info[:]
    for constant in constants:
        constant.name = names[constant.name]
    copies = [type(constant).FromString(constant.SerializeToString()) for constant in constants]
    del graph.initializer[:]
    graph.initializer.extend(copies)


def session(path: Path, threads: int = 1) -> Any:
    """An ONNX Runtime session on CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def assert_equal(
    path: Path, features: dict[str, Array], expected: Array, column: bool, once: Collection[str] = ()
) -> None:
    """The exported graph gives what the model gives, to 1e-4; of ``once`` one row does for all."""
    feed = {k: v[:, None] if column and v.ndim == 1 else v for k, v in features.items()}
    opened = session(path)
    _compare(path, opened.run(None, feed)[0], expected)
    if once:
        repeated = {k: np.repeat(v[:1], len(v), axis=0) if k in once else v for k, v in feed.items()}
        single = {k: v[:1] if k in once else v for k, v in feed.items()}
        _compare(path, opened.run(None, single)[0], opened.run(None, repeated)[0])


def _compare(path: Path, got: Array, expected: Array) -> None:
    if not np.allclose(got, expected, atol=1e-4):
        raise RuntimeError(f"{path.name} differs from the model by {np.abs(got - expected).max()}")
