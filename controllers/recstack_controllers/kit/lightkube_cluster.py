"""The Cluster of the Protocol, on a real API server through lightkube."""

import functools
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import (
    Generic,
    create_global_resource,
    create_namespaced_resource,
)
from lightkube.types import CascadeType, PatchType

from recstack_controllers.kit.clock import Clock, rfc3339
from recstack_controllers.kit.cluster import (
    FIELD_MANAGER,
    ClusterError,
    EventType,
    Kind,
    Manifest,
    Propagation,
)

LOG = logging.getLogger(__name__)
EVENT = Kind("v1", "Event", "events")
MESSAGE_LIMIT = 1024
"""The API server refuses longer event messages."""
TRANSIENT = frozenset({0, 408, 409, 429, 500, 502, 503, 504})


@functools.cache
def _resource(kind: Kind) -> Any:  # lightkube's overloads tell the scopes apart by static type
    group, _, version = kind.api_version.rpartition("/")
    make = create_namespaced_resource if kind.namespaced else create_global_resource
    return make(group, version, kind.kind, kind.plural)


@contextmanager
def _errors(action: str) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        code = error.status.code or 0
        raise ClusterError(f"cannot {action}: {error}", code, code in TRANSIENT) from error
    except httpx2.HTTPStatusError as error:
        code = error.response.status_code
        raise ClusterError(f"cannot {action}: {error}", code, code in TRANSIENT) from error
    except httpx2.HTTPError as error:
        raise ClusterError(f"cannot {action}: {error!r}", 0, True) from error


def _plain(thing: Generic, kind: Kind) -> Manifest:
    # Items of a list come without their own apiVersion and kind.
    return {"apiVersion": kind.api_version, "kind": kind.kind, **thing}


class LightkubeCluster:
    """One client for the API server, one for pods; close both with ``aclose``."""

    def __init__(self, client: AsyncClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._http = httpx2.AsyncClient(trust_env=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._client.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        """One object; None when it does not exist."""
        try:
            with _errors(f"read {kind.kind} {name}"):
                found: Any = await self._client.get(_resource(kind), name, namespace=namespace)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise
        return _plain(found, kind)

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str | None]
    ) -> list[Manifest]:
        """Objects that carry all of ``labels`` (None: any value); ``namespace`` None: of all namespaces."""
        where: Any = "*" if kind.namespaced and namespace is None else namespace
        with _errors(f"list {kind.plural}"):
            found = self._client.list(_resource(kind), namespace=where, labels=dict(labels))
            return [_plain(item, kind) async for item in found]

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """Server-side apply with force."""
        kind = _kind_of(manifest)
        metadata = manifest["metadata"]
        with _errors(f"apply {kind.kind} {metadata['name']}"):
            done: Any = await self._client.patch(
                _resource(kind),
                metadata["name"],
                manifest,
                namespace=metadata.get("namespace"),
                patch_type=PatchType.APPLY,
                field_manager=manager,
                force=True,
            )
        return _plain(done, kind)

    async def delete(self, kind: Kind, namespace: str | None, name: str, propagation: Propagation) -> None:
        """Delete; an object that is not there is fine."""
        try:
            with _errors(f"delete {kind.kind} {name}"):
                await self._client.delete(
                    _resource(kind), name, namespace=namespace, cascade=CascadeType(propagation)
                )
        except ClusterError as error:
            if error.status != 404:
                raise

    async def patch_status(
        self, kind: Kind, namespace: str | None, name: str, status: Manifest, resource_version: str | None
    ) -> Manifest:
        """Merge ``status`` into the object's; null removes a field."""
        patch: Manifest = {"status": status}
        if resource_version is not None:
            patch["metadata"] = {"resourceVersion": resource_version}
        with _errors(f"write the status of {kind.kind} {name}"):
            done: Any = await self._client.patch(
                _resource(kind).Status, name, patch, namespace=namespace, patch_type=PatchType.MERGE
            )
        return _plain(done, kind)

    async def event(self, reference: Manifest, type: EventType, reason: str, message: str) -> None:
        """Record an event; a failure is only logged, as events are for people and no decision."""
        metadata = reference["metadata"]
        now = rfc3339(self._clock.now())
        event: Manifest = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}",
                "namespace": metadata.get("namespace", "default"),
            },
            "involvedObject": {
                "apiVersion": reference["apiVersion"],
                "kind": reference["kind"],
                "name": metadata["name"],
                "namespace": metadata.get("namespace"),
                "uid": metadata.get("uid"),
                "resourceVersion": metadata.get("resourceVersion"),
            },
            "type": type,
            "reason": reason,
            "message": message[:MESSAGE_LIMIT],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": FIELD_MANAGER,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            with _errors("record an event"):
                made: Any = _resource(EVENT).from_dict(event)
                await self._client.create(made, namespace=metadata.get("namespace", "default"))  # type: ignore[call-overload]
        except ClusterError as error:
            LOG.warning("%s", error)

    async def get_json(self, url: str, seconds: float) -> Any:
        """Body of an HTTP GET inside the cluster, decoded."""
        with _errors(f"read {url}"):
            answer = await self._http.get(url, timeout=seconds)
            answer.raise_for_status()
        try:
            return answer.json()
        except ValueError as error:
            raise ClusterError(f"cannot read {url}: its answer is not JSON", 200, True) from error


def _kind_of(manifest: Manifest) -> Kind:
    """The Kind of a manifest, for kinds that recstack applies (their plurals are all regular)."""
    name = manifest["kind"]
    plural = name.lower()[:-1] + "ies" if name.endswith("y") else name.lower() + "s"
    return Kind(manifest["apiVersion"], name, plural)
