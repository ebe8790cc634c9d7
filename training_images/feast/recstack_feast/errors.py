"""Errors that trying again cannot mend."""

BAD_INPUT_EXIT_CODE = 3
"""The Job's podFailurePolicy fails at once on it."""


class BadInput(Exception):
    """The repository or what it names is wrong; the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
