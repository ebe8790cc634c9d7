"""Errors that trying again cannot mend."""

from dataclasses import dataclass

BAD_INPUT_EXIT_CODE = 3
"""Exit status of a step whose input is wrong; the Job's podFailurePolicy fails at once on it."""


@dataclass(frozen=True)
class BadInput(Exception):
    """The data or the recipe is wrong. ``message`` says what was expected and what to do."""

    reason: str
    message: str
    file: str | None = None
    column: str | None = None

    def __str__(self) -> str:
        return self.message

    def as_json(self) -> dict[str, str]:
        """The ``error`` object of a termination message; absent parts are left out."""
        parts = {"reason": self.reason, "file": self.file, "column": self.column, "message": self.message}
        return {key: value for key, value in parts.items() if value is not None}
