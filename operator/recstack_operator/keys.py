"""Which reconciles an object's change concerns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Kind

WATCHED: tuple[Kind, ...] = (
    kinds.RECOMMENDER_STACK,
    kinds.MODEL_VERSION,
    *(kind for kind in kinds.CHILDREN if kind is not kinds.SECRET),
    kinds.POD,
)
"""All but Secrets: to watch those would take the right to read every Secret."""

_ASKED = ("uid", "generation", "labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp")


@dataclass(frozen=True)
class Key:
    """One object to reconcile."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}"


class Router:
    """Turns an object into keys; remembers which versions a stack has, as its changes concern them too.

    A stack's status concerns nobody: its own reconcile wrote it, and versions read its spec and its plan.
    """

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], set[str]] = {}
        self._asked: dict[tuple[str, str], Any] = {}
        """Of each stack, all but its status, as last seen."""

    def concerned(self, kind: Kind, body: Mapping[str, Any], deleted: bool) -> set[Key]:
        """Keys that are to be reconciled after a change of ``body``."""
        metadata = body["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        labels = metadata.get("labels") or {}
        if kind == kinds.RECOMMENDER_STACK:
            return self._of_stack(namespace, name) if self._asks(body, deleted) else set()
        if kind == kinds.MODEL_VERSION:
            stack = (body.get("spec") or {}).get("stack", "")
            known = self._versions.setdefault((namespace, stack), set())
            if deleted:
                known.discard(name)
            else:
                known.add(name)
            return {
                Key(kinds.MODEL_VERSION, namespace, name),
                Key(kinds.RECOMMENDER_STACK, namespace, stack),
            }
        stack, version = labels.get(names.STACK), labels.get(names.VERSION)
        found = {Key(kinds.MODEL_VERSION, namespace, version)} if version else set()
        if stack and names.STEP not in labels:
            # A step's Job or pod changes its version, whose own change then concerns the stack.
            found |= self._of_stack(namespace, stack)
        return found

    def _asks(self, stack: Mapping[str, Any], deleted: bool) -> bool:
        """Whether somebody changed it, or it is new or gone; as GenerationChangedPredicate, and more.

        https://pkg.go.dev/sigs.k8s.io/controller-runtime/pkg/predicate
        """
        metadata = stack["metadata"]
        who = (metadata["namespace"], metadata["name"])
        if deleted:
            self._asked.pop(who, None)
            return True
        asked = {key: metadata.get(key) for key in _ASKED}
        before, self._asked[who] = self._asked.get(who), asked
        return asked != before

    def _of_stack(self, namespace: str, stack: str) -> set[Key]:
        versions: Iterable[str] = self._versions.get((namespace, stack), ())
        return {Key(kinds.RECOMMENDER_STACK, namespace, stack)} | {
            Key(kinds.MODEL_VERSION, namespace, version) for version in versions
        }
