"""The compiled transforms: what the fitted NVTabular workflows do, as look-ups and arithmetic in NumPy.

``transforms.json`` maps a feature's name to ``{"column", "dtype", "ops", "default"}``; ``default`` is what a
missing raw value (unknown user, absent context) becomes: ``{"code": 2}`` for a pure Categorify, else
``{"raw": mean}``, sent through the chain. ``vocab.npz`` holds for each Categorify two arrays: sorted raw
values and their codes.

Hour and weekday are whole numbers, UTC: hour = t // 3600 % 24, weekday = (t // 86400 + 3) % 7, Monday = 0;
the angle is 2*pi*hour/24 or 2*pi*weekday/7.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
PAD, NULL, OUT_OF_VOCABULARY, FIRST = 0, 1, 2, 3


def hour_angle(seconds: Array) -> Array:
    """Angle of the hour of day, radians; ``seconds`` since 1970, UTC, integer, any shape."""
    return 2 * np.pi * (seconds // 3600 % 24) / 24


def weekday_angle(seconds: Array) -> Array:
    """Angle of the weekday, radians; 1970-01-01 was a Thursday, day 3 when Monday is 0."""
    return 2 * np.pi * ((seconds // 86400 + 3) % 7) / 7


def hour_sin(seconds: Array) -> Array:
    """Sine of the hour, float32."""
    return np.sin(hour_angle(seconds)).astype(np.float32)


def hour_cos(seconds: Array) -> Array:
    """Cosine of the hour, float32."""
    return np.cos(hour_angle(seconds)).astype(np.float32)


def weekday_sin(seconds: Array) -> Array:
    """Sine of the weekday, float32."""
    return np.sin(weekday_angle(seconds)).astype(np.float32)


def weekday_cos(seconds: Array) -> Array:
    """Cosine of the weekday, float32."""
    return np.cos(weekday_angle(seconds)).astype(np.float32)


TIME = {"HourSin": hour_sin, "HourCos": hour_cos, "WeekdaySin": weekday_sin, "WeekdayCos": weekday_cos}


def null_mask(values: Array) -> npt.NDArray[np.bool_]:
    """Which of ``values`` [N] are null: NaN in floats, None or NaN in objects, nothing in integers."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "O":
        return np.array(
            [value is None or (isinstance(value, float) and np.isnan(value)) for value in values], dtype=bool
        )
    return np.zeros(len(values), dtype=bool)


def categorify(values: Array, vocabulary: Array, codes: Array) -> npt.NDArray[np.int64]:
    """Codes [N] of raw ``values`` [N]; ``vocabulary`` [V] is sorted, ``codes`` [V] go with it."""
    missing = null_mask(values)
    out = np.full(len(values), OUT_OF_VOCABULARY, dtype=np.int64)
    out[missing] = NULL
    present = np.flatnonzero(~missing)
    if len(vocabulary) == 0 or len(present) == 0:
        return out
    known = values[present]
    if known.dtype.kind == "O" and not isinstance(known[0], str):
        known = known.astype(np.int64)  # whole numbers that were objects for the sake of nulls
    text = vocabulary.dtype.kind == "U"
    if text != (known.dtype.kind in "OUS"):
        return out  # -1 for a column of strings: never in the vocabulary
    known = known.astype(str) if text else known
    place = np.minimum(np.searchsorted(vocabulary, known), len(vocabulary) - 1)
    found = vocabulary[place] == known
    out[present[found]] = codes[place[found]]
    return out


def apply_op(operator: Mapping[str, Any], values: Array, vocabularies: Mapping[str, Array]) -> Array:
    """One operator of a chain on ``values`` [N]; ``KeyError`` for an operator that is not known."""
    name = operator["op"]
    if name == "Categorify":
        return categorify(values, vocabularies[operator["vocab"]], vocabularies[operator["codes"]])
    if name == "Bucketize":
        return np.digitize(values, np.asarray(operator["boundaries"]), right=False).astype(np.int64)
    if name == "Normalize":
        scale = operator["std"] if operator["std"] > 0 else 1.0
        scaled: Array = ((values - operator["mean"]) / scale).astype(np.float32)
        return scaled
    if name == "LogOp":
        logarithm: Array = np.log(values.astype(np.float32) + 1)
        return logarithm
    return TIME[name](values)


def fill(values: Array, default: Mapping[str, Any]) -> Array:
    """Put the default's raw value in place of nulls (numbers only; a null category has its own code)."""
    if "raw" not in default:
        return values
    numbers = values.astype(np.float64) if values.dtype.kind == "O" else values
    missing = null_mask(numbers)
    return np.where(missing, default["raw"], numbers) if missing.any() else numbers


def apply(transform: Mapping[str, Any], values: Array, vocabularies: Mapping[str, Array]) -> Array:
    """A whole chain on raw ``values`` [N]; returns int64 or float32 [N], as ``transform["dtype"]`` says."""
    out = fill(values, transform["default"])
    for operator in transform["ops"]:
        out = apply_op(operator, out, vocabularies)
    return out.astype(transform["dtype"])


def default_value(transform: Mapping[str, Any], vocabularies: Mapping[str, Array]) -> int | float:
    """What the feature is for somebody of whom nothing is known."""
    default = transform["default"]
    if "code" in default:
        return int(default["code"])
    value = apply({**transform, "default": {}}, np.array([default["raw"]]), vocabularies)[0]
    return value.item()  # type: ignore[no-any-return]
