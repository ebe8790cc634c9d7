"""Request context: what is missing is filled, what has the wrong type is refused."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recstack_triton_templates.errors import BadRequest
from recstack_triton_templates.stages.transforms import CATEGORIES, TIME, Array

LATEST = 100_000_000_000
"""Seconds; beyond, a time is surely in milliseconds."""


class ContextPreprocessor:
    """Raw context columns as arrays [1], for the columns that declared features use.

    Args:
        transforms: of the context features.
        timestamp: the log's column of the time; missing, it is now.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]], timestamp: str) -> None:
        times = {t["column"] for t in transforms if t["ops"][0]["op"] in TIME} | {timestamp}
        numbers = {t["column"] for t in transforms if t["ops"][0]["op"] not in CATEGORIES}
        self._columns = tuple(dict.fromkeys(t["column"] for t in transforms))
        self._times, self._numbers, self._timestamp = times, numbers - times, timestamp

    def __call__(self, context: Mapping[str, int | float | str | None], now: float) -> dict[str, Array]:
        """Arrays by column; a column that is absent or null stays out, its features take their default.

        Columns that no feature uses are ignored: two versions may declare different ones.
        """
        result = {}
        for column in self._columns:
            value = context.get(column)
            if value is None:
                if column != self._timestamp:
                    continue
                value = int(now)
            if column in self._times:
                value = _time(column, value)
            elif column in self._numbers:
                value = _number(column, value)
                if np.isnan(value):
                    continue
            elif isinstance(value, float):
                if not (value.is_integer() and abs(value) < 2**63):
                    continue  # a category of integers has no such value
                value = int(value)
            result[column] = _array(column, value)
        return result


def _array(column: str, value: int | float | str) -> Array:
    array = np.array([value])
    if array.dtype.kind == "O" or array.dtype == np.uint64:
        raise BadRequest(f"context.{column}: expected a 64-bit integer")
    return array


def _number(column: str, value: int | float | str) -> float:
    if isinstance(value, str):
        raise BadRequest(f"context.{column}: expected a number, got text")
    try:
        return float(value)
    except OverflowError:
        raise BadRequest(f"context.{column}: the number is too large") from None


def _time(column: str, value: int | float | str) -> int:
    number = _number(column, value)
    if not abs(number) <= LATEST:
        raise BadRequest(f"context.{column}: expected seconds since 1970, UTC, got {value}")
    return int(number)
