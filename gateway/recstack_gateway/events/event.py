"""An event, and how it stands in the stream."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Event:
    """``user`` None: anonymous. ``seconds`` since 1970, UTC, never in the future of who accepted it."""

    id: str
    user: int | None
    item: int
    type: str
    seconds: float


def to_fields(event: Event) -> dict[str, str]:
    """Fields of its entry."""
    return {
        "id": event.id,
        "user": "" if event.user is None else str(event.user),
        "item": str(event.item),
        "type": event.type,
        "at": repr(event.seconds),
    }


def from_fields(fields: Mapping[bytes, bytes]) -> Event:
    """The event of an entry.

    Raises:
        ValueError: what the gateway would not have written; the message says what.
    """
    try:
        text = {key.decode(): value.decode() for key, value in fields.items()}
        id_, user, item, type_ = (text[key] for key in ("id", "user", "item", "type"))
        event = Event(id_, int(user) if user else None, int(item), type_, float(text["at"]))
    except KeyError as error:
        raise ValueError(f"no field {error}") from error
    if event.item not in _INT64 or (event.user is not None and event.user not in _INT64):
        raise ValueError("an id of more than 64 bits")
    if not (math.isfinite(event.seconds) and 0 <= event.seconds <= 1e11):
        raise ValueError("a time that is none")
    return event
