"""The compiled transforms: what the fitted NVTabular workflows do, as look-ups and arithmetic in NumPy.

``transforms.json`` maps a feature's name to ``{"column", "dtype", "ops", "default"}``; ``default`` is what a
missing raw value (unknown user, absent context) becomes: ``{"code": 2}`` for a pure Categorify or HashBucket,
else ``{"raw": mean}``, or FillMissing's value, sent through the chain. ``vocab.npz`` holds for each
Categorify two arrays: sorted raw values and their codes.

HashBucket's code is 3 + hash % buckets; the hash of a text is BLAKE2b of its UTF-8, 8 bytes, little-endian,
that of a whole number the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
Generators, 2014) over its 64 bits. A value of the other kind is out of vocabulary.

Hour and weekday are whole numbers, UTC: hour = t // 3600 % 24, weekday = (t // 86400 + 3) % 7, Monday = 0;
the angle is 2*pi*hour/24 or 2*pi*weekday/7.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Operator = Mapping[str, Any]
Vocabularies = Mapping[str, Array]
PAD, NULL, OUT_OF_VOCABULARY, FIRST = 0, 1, 2, 3
NOT_COMPILED = "NVTabular"
"""An operator that NVTabular runs; ``bound`` says where."""
CATEGORIES = frozenset({"Categorify", "HashBucket"})
"""Operators that take raw texts or whole numbers, and end a chain."""


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


def _mixed(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finalizer, [N]; arithmetic modulo 2^64."""
    bits = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _digest(text: str) -> int:
    # NumPy's texts end before their trailing zeros; JSON may hold half of a surrogate pair.
    content = text.rstrip("\0").encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def hash_bucket(values: Array, buckets: int, text: bool) -> npt.NDArray[np.int64]:
    """Codes [N] of raw ``values`` [N]: 3… for what is of the column's kind (``text`` or whole numbers)."""
    missing = null_mask(values)
    out = np.full(len(values), OUT_OF_VOCABULARY, dtype=np.int64)
    out[missing] = NULL
    present = np.flatnonzero(~missing)
    known = values[present]
    if len(known) == 0 or text != isinstance(known[0], str):
        return out
    hashes = (
        np.array([_digest(value) for value in known], dtype=np.uint64)
        if text
        else _mixed(known.astype(np.int64))
    )
    out[present] = FIRST + (hashes % np.uint64(buckets)).astype(np.int64)
    return out


def _of_time(function: Callable[[Array], Array]) -> Callable[[Array, Operator, Vocabularies], Array]:
    return lambda values, _, __: function(values)


def _normalize(values: Array, operator: Operator, _: Vocabularies) -> Array:
    scaled: Array = ((values - operator["mean"]) / (operator["std"] if operator["std"] > 0 else 1.0)).astype(
        np.float32
    )
    return scaled


def _between(values: Array, operator: Operator, _: Vocabularies) -> Array:
    scaled: Array = ((values - operator["min"]) / (operator["max"] - operator["min"])).astype(np.float32)
    return scaled


def _log(values: Array, _: Operator, __: Vocabularies) -> Array:
    logarithm: Array = np.log(values.astype(np.float32) + 1)
    return logarithm


def _clip(values: Array, operator: Operator, _: Vocabularies) -> Array:
    clipped: Array = np.clip(values, operator["min"], operator["max"])
    return clipped


OPERATORS: Mapping[str, Callable[[Array, Operator, Vocabularies], Array]] = {
    "Categorify": lambda values, op, words: categorify(values, words[op["vocab"]], words[op["codes"]]),
    "HashBucket": lambda values, op, _: hash_bucket(values, op["buckets"], op["text"]),
    "Bucketize": lambda values, op, _: np.digitize(values, np.asarray(op["boundaries"])).astype(np.int64),
    "FillMissing": lambda values, op, _: fill(values, {"raw": op["value"]}),
    "Normalize": _normalize,
    "NormalizeMinMax": _between,
    "Clip": _clip,
    "LogOp": _log,
    NOT_COMPILED: lambda values, op, _: op["run"](values),
    **{name: _of_time(function) for name, function in TIME.items()},
}
"""What an operator of a chain makes of values [N], by its name."""


def fill(values: Array, default: Mapping[str, Any]) -> Array:
    """Put the default's raw value in place of nulls (numbers only; a null category has its own code)."""
    if "raw" not in default:
        return values
    numbers = values.astype(np.float64) if values.dtype.kind == "O" else values
    missing = null_mask(numbers)
    return np.where(missing, default["raw"], numbers) if missing.any() else numbers


def not_compiled(compiled: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Folders of the workflows that NVTabular must run for these features."""
    return [
        op["workflow"]
        for transform in compiled.values()
        for op in transform["ops"]
        if op["op"] == NOT_COMPILED
    ]


def bound(
    compiled: Mapping[str, Mapping[str, Any]], operator: Callable[[str], Callable[[Array], Array]]
) -> dict[str, dict[str, Any]]:
    """``transforms.json`` with what runs the operators that are not compiled, by their folder."""
    return {
        name: {
            **transform,
            "ops": [
                {**op, "run": operator(op["workflow"])} if op["op"] == NOT_COMPILED else op
                for op in transform["ops"]
            ],
        }
        for name, transform in compiled.items()
    }


def apply(transform: Mapping[str, Any], values: Array, vocabularies: Mapping[str, Array]) -> Array:
    """A whole chain on raw ``values`` [N]; returns int64 or float32 [N], as ``transform["dtype"]`` says.

    Raises:
        KeyError: an operator that is not known.
    """
    out = fill(values, transform["default"])
    for operator in transform["ops"]:
        out = OPERATORS[operator["op"]](out, operator, vocabularies)
    return out.astype(transform["dtype"])


def default_value(transform: Mapping[str, Any], vocabularies: Mapping[str, Array]) -> int | float:
    """What the feature is for somebody of whom nothing is known."""
    default = transform["default"]
    if "code" in default:
        return int(default["code"])
    value = apply({**transform, "default": {}}, np.array([default["raw"]]), vocabularies)[0]
    return value.item()  # type: ignore[no-any-return]
