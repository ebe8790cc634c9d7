"""Rows of a stack's Feast views: commands for the online store, and raw columns from its replies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recstack_triton_templates import feast_keys
from recstack_triton_templates.feast_keys import Value

LARGEST = 3.4e38
"""A number beyond is no float32, which is what models take."""


@dataclass(frozen=True)
class Row:
    """``values`` by raw column: None is null, a column that is not there was never written.

    ``until``: when the row does not count any more, seconds since 1970, UTC.
    """

    values: dict[str, Value]
    until: float


class FeastView:
    """A view of raw columns, as Feast has it.

    A row counts for the view's TTL after the time it is of; later it is as if it were not there. A value that
    cannot be read, or is no finite number where a transform needs one, is null.

    Args:
        project: Feast's.
        view: name.
        join_key: column of the id, which is in the key and no feature.
        transforms: compiled, of the features that are made of the view.
        ttl_seconds: 0: for ever.
    """

    def __init__(
        self,
        project: str,
        view: str,
        join_key: str,
        transforms: Sequence[Mapping[str, Any]],
        ttl_seconds: int,
    ) -> None:
        self.project, self.join_key, self._ttl = project, join_key, ttl_seconds
        self.columns = tuple(dict.fromkeys(t["column"] for t in transforms if t["column"] != join_key))
        self._numbers = {t["column"] for t in transforms if t["ops"][0]["op"] != "Categorify"}
        fields = [feast_keys.field(view, column) for column in self.columns]
        self._fields = (feast_keys.timestamp_field(view), *fields)

    def command(self, entity_id: int) -> tuple[Any, ...]:
        """What asks for the row of an entity."""
        return ("HMGET", feast_keys.entity_key(self.project, self.join_key, entity_id), *self._fields)

    def row(self, reply: Sequence[bytes | None], now: float) -> Row | None:
        """The row that a reply says; None: not there, or its time is over."""
        stamp, *contents = reply
        if stamp is None and not any(contents):
            return None
        until = self._until(stamp)
        if until < now:
            return None
        pairs = zip(self.columns, contents, strict=True)
        return Row({c: self._value(c, content) for c, content in pairs if content is not None}, until)

    def _until(self, stamp: bytes | None) -> float:
        if not self._ttl:
            return math.inf
        try:
            return feast_keys.decode_time(stamp or b"") + self._ttl
        except ValueError:
            return -math.inf

    def _value(self, column: str, content: bytes) -> Value:
        try:
            value = feast_keys.decode(content)
        except ValueError:
            return None
        if isinstance(value, bytes):
            return None
        if column in self._numbers and not (isinstance(value, int | float) and abs(value) < LARGEST):
            return None
        return value
