"""Turns the objects' conditions into what a person reads while waiting. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NOT_BEGUN = frozenset({"Pending", "Unknown"})


@dataclass(frozen=True)
class Line:
    """One condition or step: ``state`` is True, False, Unknown, or a step's state."""

    name: str
    state: str
    message: str


def condition(thing: dict[str, Any] | None, kind: str) -> dict[str, Any] | None:
    """The condition of type ``kind`` if it speaks of the object's present generation, else None."""
    if not thing:
        return None
    generation = thing["metadata"].get("generation", 0)
    for found in thing.get("status", {}).get("conditions", []):
        if found["type"] == kind and found.get("observedGeneration", 0) >= generation:
            return dict(found)
    return None


def is_true(thing: dict[str, Any] | None, kind: str) -> bool:
    """Whether the condition ``kind`` is True for the present generation."""
    found = condition(thing, kind)
    return found is not None and found["status"] == "True"


def lines(things: Iterable[dict[str, Any]]) -> list[Line]:
    """Steps and conditions of the objects, in the order in which the operator lists them."""
    result = []
    for thing in things:
        status = thing.get("status", {})
        who = f"{thing['kind']}/{thing['metadata']['name']}"
        for step in status.get("steps", []):
            compute = step.get("computeSeconds")
            told = f"{compute:.1f} s of compute" if compute is not None else step.get("message", "")
            result.append(Line(f"{who} step {step['name']}", step["state"], told))
        for found in status.get("conditions", []):
            result.append(
                Line(f"{who} {found['type']}", found["status"], f"{found['reason']}: {found['message']}")
            )
    return result


def changes(before: list[Line], after: list[Line]) -> list[Line]:
    """What is new or has another state than ``before``; what has not begun is no news."""
    seen = {line.name: line.state for line in before}
    return [line for line in after if seen.get(line.name) != line.state and line.state not in NOT_BEGUN]
