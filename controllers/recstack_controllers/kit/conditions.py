"""The only writer of conditions: nothing else sets observedGeneration or lastTransitionTime."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from recstack_crds.v1alpha1.status import Condition

from recstack_controllers.kit.clock import rfc3339


class State(StrEnum):
    """Value of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Conditions:
    """The conditions of one object, edited in the course of one reconcile.

    Those not set again keep what they said, with the new observedGeneration: every write speaks of
    the generation that was looked at, as ``kubectl wait`` and GitOps tools compare it.
    """

    def __init__(self, before: Iterable[Condition], generation: int, now: datetime) -> None:
        self._now = rfc3339(now)
        self._generation = generation
        self._all = {c.type: c.model_copy(update={"observed_generation": generation}) for c in before}

    def set(self, type: str, state: State, reason: str, message: str) -> None:
        """Set one; its lastTransitionTime moves only when ``state`` does."""
        before = self._all.get(type)
        since = before.last_transition_time if before and before.status == state.value else self._now
        self._all[type] = Condition(
            type=type,
            status=state.value,
            reason=reason,
            message=message,
            observed_generation=self._generation,
            last_transition_time=since,
        )

    def remove(self, type: str) -> None:
        """Forget one that no longer applies."""
        self._all.pop(type, None)

    def get(self, type: str) -> Condition | None:
        """One, when it has been set at any time."""
        return self._all.get(type)

    def is_true(self, type: str) -> bool:
        """Whether one is True."""
        found = self._all.get(type)
        return found is not None and found.status == State.TRUE

    def as_list(self, order: Iterable[str]) -> list[Condition]:
        """All, in ``order``; those not named in it are dropped."""
        return [self._all[type] for type in order if type in self._all]
