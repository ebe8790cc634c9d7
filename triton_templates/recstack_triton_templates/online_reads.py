"""The kinds of things that are read from the online store for a request."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recstack_triton_templates.feast_keys import Value
from recstack_triton_templates.feast_view import FeastView
from recstack_triton_templates.online import Command, Known
from recstack_triton_templates.request import Request
from recstack_triton_templates.seen_keys import SeenKeys
from recstack_triton_templates.stages.transforms import Array


class SeenReads:
    """What a person has seen lately; not of a plain request."""

    def __init__(self, keys: SeenKeys) -> None:
        self._keys, self._bloom = keys, keys.bloom

    def commands(self, request: Request, now: float) -> Sequence[Command]:
        """As ``Reads`` has it."""
        if request.user_id is None or request.plain:
            return ()
        return (("MGET", *self._keys.readable(request.user_id, now)),)

    def add(self, known: Known, request: Request, replies: Sequence[Any], now: float) -> Known:
        """As ``Reads`` has it."""
        bitmaps = [bitmap for bitmap in replies[0] if bitmap]
        return replace(known, seen=self._bloom.member(bitmaps)) if bitmaps else known


class UserReads:
    """The raw features of a person; not of a plain request, whose answer is the package's alone."""

    def __init__(self, view: FeastView) -> None:
        self._view = view

    def commands(self, request: Request, now: float) -> Sequence[Command]:
        """As ``Reads`` has it."""
        if request.user_id is None or request.plain:
            return ()
        return (self._view.command(request.user_id),)

    def add(self, known: Known, request: Request, replies: Sequence[Any], now: float) -> Known:
        """As ``Reads`` has it."""
        row = self._view.row(replies[0], now)
        if row is None:
            return replace(known, user={})
        raw = {column: _array(value) for column, value in row.values.items()}
        return replace(known, user={self._view.join_key: np.array([request.user_id])} | raw)


def _array(value: Value) -> Array:
    return np.array([value], dtype=object if value is None else None)
