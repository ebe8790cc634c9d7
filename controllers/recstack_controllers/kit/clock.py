"""Time, handed in, so that tests own it."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The moment, with time zone."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The moment, UTC."""
        return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Kubernetes' form of a time: UTC, whole seconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime:
    """A time as Kubernetes writes it.

    Raises:
        ValueError: not RFC 3339.
    """
    return datetime.fromisoformat(text)
