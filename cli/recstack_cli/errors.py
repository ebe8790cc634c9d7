"""What ends a command before its end, and its exit status."""

FAILED = 1
USAGE = 2
NOT_FOUND = 3


class CliError(Exception):
    """A sentence for people; ``status`` is the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
