"""Durations of specs."""

from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse(text: str) -> timedelta:
    """``36h``: a number of seconds (s), minutes (m), hours (h) or days (d), as the API checks it."""
    return timedelta(seconds=seconds(text))


def seconds(text: str) -> int:
    """The same in seconds."""
    return int(text[:-1]) * _SECONDS[text[-1]]
