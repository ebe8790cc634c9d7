"""What differs between two specs, by path. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NAMES = ("name", "metric")
"""Fields by which elements of lists are told apart."""


@dataclass(frozen=True)
class Change:
    """One difference; None: absent. ``keys`` lead to it through objects only, so they end at a list."""

    path: str
    keys: tuple[str, ...]
    before: Any
    after: Any


def changes(before: Any, after: Any, keys: tuple[str, ...] = ()) -> Iterator[Change]:
    """Smallest differences; a part that only one side has is one difference."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from changes(before.get(key), after.get(key), (*keys, key))
        return
    path = ".".join(keys)
    left, right = _by_name(before), _by_name(after)
    if left is None or right is None:
        yield Change(path, keys, before, after)
        return
    for name in dict.fromkeys((*left, *right)):
        if left.get(name) != right.get(name):
            yield Change(f"{path}[{name}]", keys, left.get(name), right.get(name))
    if [name for name in left if name in right] != [name for name in right if name in left]:
        yield Change(f"{path} (order)", keys, list(left), list(right))


def _by_name(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        return None
    key = next((key for key in NAMES if all(key in one for one in value)), None)
    named = {one[key]: one for one in value} if key else None
    return named if named is not None and len(named) == len(value) else None


def show(value: Any) -> str:
    """A value in one line."""
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
