"""The kinds of things that are read from the online store for a request."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from recstack_triton_templates.feast_keys import Value
from recstack_triton_templates.feast_view import FeastView
from recstack_triton_templates.online import AskedSeen, Command, Known
from recstack_triton_templates.request import Request
from recstack_triton_templates.seen_keys import SeenKeys
from recstack_triton_templates.stages.transforms import Array

CHUNK = 1000
"""Ids in one command: Valkey serves nobody else while it works on one."""


class BitmapReads:
    """What a person has seen lately and bitmaps hold; not of a plain request."""

    def __init__(self, keys: SeenKeys) -> None:
        self._keys, self._bloom = keys, keys.bloom

    def commands(self, request: Request, now: float) -> Sequence[Command]:
        """As ``Reads`` has it."""
        if request.user_id is None or request.plain:
            return ()
        return (("MGET", *self._keys.bitmaps(request.user_id, now)),)

    def add(self, known: Known, request: Request, replies: Sequence[Any], now: float) -> Known:
        """As ``Reads`` has it."""
        bitmaps = [bitmap for bitmap in replies[0] if bitmap]
        return replace(known, seen=self._bloom.member(bitmaps)) if bitmaps else known


class NativeReads:
    """The same that filters of Valkey's Bloom module hold: those that are there are asked for the candidates.

    Comes after ``BitmapReads``. Asking which are there needs no module; where one is, there is the module.
    ``run``: replies in one round trip, an exception in the place of each that is missing.
    """

    def __init__(self, keys: SeenKeys, run: Callable[[Sequence[Command]], list[Any]]) -> None:
        self._keys, self._run = keys, run

    def commands(self, request: Request, now: float) -> Sequence[Command]:
        """As ``Reads`` has it."""
        if request.user_id is None or request.plain:
            return ()
        return [("EXISTS", key) for key in self._keys.natives(request.user_id, now)]

    def add(self, known: Known, request: Request, replies: Sequence[Any], now: float) -> Known:
        """As ``Reads`` has it."""
        if request.user_id is None or not any(replies):
            return known
        pairs = zip(self._keys.natives(request.user_id, now), replies, strict=True)
        there = [key for key, exists in pairs if exists]
        return replace(known, seen=AskedSeen(partial(self._member, there), known.seen))

    def _member(self, keys: Sequence[str], ids: Array) -> Array | None:
        """Whether ids [N] are in any of the filters, all asked at once; None: no answer."""
        chunks = [ids[start : start + CHUNK].tolist() for start in range(0, len(ids), CHUNK)]
        replies = self._run([("BF.MEXISTS", key, *chunk) for key in keys for chunk in chunks])
        if any(isinstance(reply, Exception) for reply in replies):
            return None
        found = [bool(one) for reply in replies for one in reply]
        inside: Array = np.array(found, dtype=bool).reshape(len(keys), len(ids)).any(axis=0)
        return inside


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
