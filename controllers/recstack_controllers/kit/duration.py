"""Durations of specs."""

from datetime import timedelta

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def parse(text: str) -> timedelta:
    """``36h``: a number of minutes (m), hours (h) or days (d), as the API checks it."""
    return int(text[:-1]) * _UNITS[text[-1]]
