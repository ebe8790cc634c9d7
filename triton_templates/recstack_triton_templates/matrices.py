"""Features and raw columns as the tensors between the ensemble's stages."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from recstack_triton_templates.stages.transforms import Array


def pack(features: Mapping[str, Array], names: Sequence[str], rows: int) -> Array:
    """Encoded features [rows] by name as float64 [rows, len(names)], in the order of ``names``."""
    matrix = np.zeros((rows, len(names)))
    for column, name in enumerate(names):
        matrix[:, column] = features[name].reshape(rows)
    return matrix


def beside(matrix: Array, vectors: Mapping[str, Array]) -> Array:
    """A matrix [rows, n], vectors [rows, width] after its columns; float64 holds their float32 exactly."""
    return np.concatenate([matrix, *vectors.values()], axis=1) if vectors else matrix


def split(matrix: Array, widths: Mapping[str, int]) -> tuple[Array, dict[str, Array]]:
    """The inverse of ``beside``: the vectors are float32 again."""
    start = matrix.shape[1] - sum(widths.values())
    features, vectors = matrix[:, :start], {}
    for name, width in widths.items():
        vectors[name] = matrix[:, start : start + width].astype(np.float32)
        start += width
    return features, vectors


def unpack(matrix: Array, dtypes: Mapping[str, str]) -> dict[str, Array]:
    """The inverse of ``pack``: ``dtypes`` by name, in the same order."""
    return {name: matrix[:, column].astype(dtype) for column, (name, dtype) in enumerate(dtypes.items())}


def write_raw(raws: Sequence[Mapping[str, Array]]) -> Array:
    """Raw columns [1] of each request as JSON, uint8; the type of a column goes with it."""
    value = [{name: [one.dtype.str, one.tolist()] for name, one in raw.items()} for raw in raws]
    return to_bytes(json.dumps(value).encode())


def read_raw(content: Array) -> list[dict[str, Array]]:
    """The inverse of ``write_raw``."""
    raws = json.loads(content.tobytes())
    return [{name: np.array(one, dtype) for name, (dtype, one) in raw.items()} for raw in raws]


def to_bytes(content: bytes) -> Array:
    """Bytes as uint8."""
    return np.frombuffer(content, np.uint8)


def pad(rows: Sequence[Array], fill: float, dtype: str) -> Array:
    """Arrays of several lengths as one matrix, at least one wide; ``fill`` where an array has ended."""
    width = max(1, *(len(one) for one in rows))
    matrix = np.full((len(rows), width), fill, dtype)
    for place, one in enumerate(rows):
        matrix[place, : len(one)] = one
    return matrix
