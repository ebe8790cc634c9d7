"""Errors of serving."""


class BadRequest(ValueError):
    """The caller's request cannot be answered; the message tells the caller what to change."""
