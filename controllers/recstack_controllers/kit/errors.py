"""The two ways in which a reconcile stops before its end."""


class Waiting(Exception):
    """Something that others must do first; looked at again after ``retry_after`` seconds."""

    def __init__(self, reason: str, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class Stalled(Exception):
    """Nothing that the operator can do helps; ``action`` tells what a person must do."""

    def __init__(self, reason: str, action: str) -> None:
        super().__init__(action)
        self.reason = reason
        self.action = action
