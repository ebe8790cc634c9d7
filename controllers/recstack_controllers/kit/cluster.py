"""What a reconcile asks of a Kubernetes API server: one Protocol, so that tests need no cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

FIELD_MANAGER = "recstack"
Manifest = dict[str, Any]
EventType = Literal["Normal", "Warning"]
Propagation = Literal["Foreground", "Background"]


@dataclass(frozen=True)
class Kind:
    """One kind of object as the API server names it.

    ``api_version`` is ``group/version`` (``v1`` for the core group), ``plural`` the resource in URLs.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True


def carries(found: Manifest, labels: Mapping[str, str | None]) -> bool:
    """Whether an object has all of ``labels``, as `Cluster.list` means them (None: any value)."""
    there = found["metadata"].get("labels") or {}
    return all(key in there and value in (None, there[key]) for key, value in labels.items())


class ClusterError(Exception):
    """The API server could not be asked, or refused; ``transient``: another try may go well.

    ``status`` is the HTTP status, 0 where there was no answer.
    """

    def __init__(self, message: str, status: int, transient: bool) -> None:
        super().__init__(message)
        self.status = status
        self.transient = transient


class Cluster(Protocol):
    """The few calls that reconciles make. All raise ClusterError unless said otherwise."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        """One object; None when it does not exist."""

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str | None]
    ) -> list[Manifest]:
        """Objects that carry all of ``labels`` (None: any value); ``namespace`` None: of all namespaces."""

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """Server-side apply with force as ``manager``; gives the object after it."""

    async def delete(self, kind: Kind, namespace: str | None, name: str, propagation: Propagation) -> None:
        """Delete; an object that is not there is fine."""

    async def patch_status(
        self, kind: Kind, namespace: str | None, name: str, status: Manifest, resource_version: str | None
    ) -> Manifest:
        """Replace the object's status with ``status``.

        Raises:
            ClusterError: 409 when ``resource_version`` is given and no longer the object's.
        """

    async def event(self, reference: Manifest, type: EventType, reason: str, message: str) -> None:
        """Record an event about ``reference`` (an object with apiVersion, kind, metadata); never raises."""

    async def get_json(self, url: str, seconds: float) -> Any:
        """Body of an HTTP GET inside the cluster, decoded; gives up after ``seconds``.

        Raises:
            ClusterError: no answer in time, not status 200, or not JSON.
        """
