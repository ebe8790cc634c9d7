"""Columns of users that follow from what they did: what ``behaviour.lua`` is told."""

from collections.abc import Mapping
from typing import Any

from recstack_triton_templates import feast_keys, feast_names

from recstack_gateway.catalog import Raw
from recstack_gateway.plan import Behaviour

STAMP = feast_keys.timestamp_field(feast_names.USER_VIEW)
KEPT = 1000
"""Events of a user that count at most, the latest: each event runs through them."""


def row(settings: Behaviour, user: int) -> bytes:
    """Key of the user's row in the feature store."""
    return feast_keys.entity_key(settings.project, settings.join_key, user)


def fields(settings: Behaviour) -> list[bytes]:
    """Fields of the row that follow from behaviour, in the order of ``derived``."""
    return [feast_keys.field(feast_names.USER_VIEW, column) for column in settings.derived]


def argument(settings: Behaviour, user: int, entry: bytes, values: Mapping[str, Raw]) -> dict[str, Any]:
    """Of one event of ``user``. ``entry``: its id in the stream; ``values``: its item's, by column."""
    pairs = [
        f"{_field(column)}={feast_keys.encode(values[of_item]).hex()}"
        for column, of_item in sorted(settings.derived.items())
        if of_item in values
    ]
    milliseconds, number = map(int, entry.split(b"-"))
    # Of two events of one moment the later entry comes later: sorted sets order such members as texts.
    member = " ".join([f"{milliseconds:015}-{number:015}", *pairs])
    return {
        "user": str(user),
        "member": member,
        "window": settings.window_seconds,
        "kept": KEPT,
        "stamp": STAMP.decode(),
        "ttl": settings.ttl_seconds,
        # A row that says what it said is written anew long before its time is over.
        "refresh": settings.ttl_seconds // 2,
        "fields": [_field(column) for column in settings.columns],
        "columns": settings.columns,
    }


def _field(column: str) -> str:
    return feast_keys.field(feast_names.USER_VIEW, column).hex()
