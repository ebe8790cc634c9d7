"""What the operator's own installation decides, and what every reconcile gives back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Images:
    """Container images of what the operator runs."""

    training: str
    serving: str
    valkey: str
    feast: str


@dataclass(frozen=True)
class Settings:
    """Installation-wide settings."""

    images: Images
    image_pull_policy: str
    operator_namespace: str
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets that must be in every stack's namespace."""


@dataclass(frozen=True)
class Outcome:
    """End of one reconcile: when to look again, seconds; None: only when something changes."""

    requeue_after: float | None
