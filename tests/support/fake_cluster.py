"""An API server in memory: apply, status, deletion with garbage collection; pods say what they hold."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from recstack_controllers.kit.clock import rfc3339
from recstack_controllers.kit.cluster import (
    FIELD_MANAGER,
    ClusterError,
    EventType,
    Kind,
    Manifest,
    Propagation,
    carries,
)

Identity = tuple[str, str, str]


class Cut(BaseException):
    """The process was killed right after a write."""


@dataclass
class FakeClock:
    """Moves only when told."""

    moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class FakeCluster:
    """``cut_after``: writes until the process dies. ``on_apply`` sees each object before it is stored."""

    clock: FakeClock = field(default_factory=FakeClock)
    objects: dict[Identity, Manifest] = field(default_factory=dict)
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    refuse: Callable[[str, str], ClusterError | None] = lambda verb, kind: None
    on_apply: Callable[[Manifest], None] = lambda manifest: None
    cut_after: int | None = None
    version: int = 0

    def put(self, manifest: Manifest) -> Manifest:
        """Store an object as a person or another controller would; not counted as a write."""
        return self._store(manifest, whole=True)

    def find(self, kind: str, name: str, namespace: str = "shop") -> Manifest:
        """An object that must be there, not a copy."""
        return self.objects[kind, namespace, name]

    def all(self, kind: str) -> list[Manifest]:
        """All of a kind, by name."""
        return [found for (of, _, _), found in sorted(self.objects.items()) if of == kind]

    def remove(self, kind: str, name: str, namespace: str = "shop") -> None:
        """Delete at once, with all that it owns."""
        gone = self.objects.pop((kind, namespace, name), None)
        if gone is None:
            return
        for (of, space, child), found in list(self.objects.items()):
            owners = found["metadata"].get("ownerReferences") or []
            if any(owner["uid"] == gone["metadata"]["uid"] for owner in owners):
                self.remove(of, child, space)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        self._check("get", kind.kind)
        return copy.deepcopy(self.objects.get((kind.kind, namespace or "", name)))

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str | None]
    ) -> list[Manifest]:
        self._check("list", kind.kind)
        return [
            copy.deepcopy(found)
            for (of, space, _), found in sorted(self.objects.items())
            if of == kind.kind and namespace in (None, space) and carries(found, labels)
        ]

    async def apply(self, manifest: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        self._check("apply", manifest["kind"])
        self._compare(manifest["kind"], manifest["metadata"])
        self.on_apply(manifest)
        self._count("apply", manifest["kind"], manifest["metadata"]["name"])
        done = copy.deepcopy(self._store(manifest, whole=False))
        self._maybe_cut()
        return done

    async def delete(self, kind: Kind, namespace: str | None, name: str, propagation: Propagation) -> None:
        self._check("delete", kind.kind)
        self._count("delete", kind.kind, name)
        found = self.objects.get((kind.kind, namespace or "", name))
        if found is not None and found["metadata"].get("finalizers"):
            found["metadata"]["deletionTimestamp"] = rfc3339(self.clock.now())
        else:
            self.remove(kind.kind, name, namespace or "")
        self._maybe_cut()

    async def patch_status(
        self, kind: Kind, namespace: str | None, name: str, status: Manifest, resource_version: str | None
    ) -> Manifest:
        self._check("patch_status", kind.kind)
        found = self.objects.get((kind.kind, namespace or "", name))
        if found is None:
            raise ClusterError(f"no {name}", 404, False)
        if resource_version not in (None, found["metadata"]["resourceVersion"]):
            raise ClusterError("conflict", 409, True)
        self._count("patch_status", kind.kind, name)
        found["status"] = merge(found.get("status") or {}, status)
        self._touch(found)
        self._maybe_cut()
        return copy.deepcopy(found)

    async def event(self, reference: Manifest, type: EventType, reason: str, message: str) -> None:
        self.events.append((type, reason, message))

    async def get_json(self, url: str, seconds: float) -> Any:
        if url not in self.answers:
            raise ClusterError(f"cannot read {url}", 0, True)
        return copy.deepcopy(self.answers[url])

    def _check(self, verb: str, kind: str) -> None:
        error = self.refuse(verb, kind)
        if error is not None:
            raise error

    def _count(self, verb: str, kind: str, name: str) -> None:
        self.writes.append((verb, kind, name))

    def _maybe_cut(self) -> None:
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after <= 0:
                self.cut_after = None
                raise Cut

    def _compare(self, kind: str, metadata: Manifest) -> None:
        """An apply that names a version is of no other one."""
        read = metadata.get("resourceVersion")
        there = self.objects.get((kind, metadata.get("namespace", ""), metadata["name"]))
        if read is not None and (there is None or there["metadata"]["resourceVersion"] != read):
            raise ClusterError("the object has been modified", 409, True)

    def _store(self, manifest: Manifest, *, whole: bool) -> Manifest:
        new = copy.deepcopy(manifest)
        metadata = new["metadata"]
        identity = (new["kind"], metadata.get("namespace", ""), metadata["name"])
        old = self.objects.get(identity)
        if old is None:
            if "uid" in metadata and not whole:
                raise ClusterError("no object has this uid", 409, True)
            metadata.setdefault("uid", f"uid-{len(self.writes)}-{self.version}")
            metadata.setdefault("creationTimestamp", rfc3339(self.clock.now()))
            metadata["generation"] = 1
        else:
            kept = ("uid", "creationTimestamp", "deletionTimestamp", "finalizers")
            before = old["metadata"]
            new["metadata"] = {key: before[key] for key in kept if key in before} | metadata
            changed = "spec" in new and new["spec"] != old.get("spec")
            new["metadata"]["generation"] = before["generation"] + changed
            if "spec" not in new and "spec" in old:  # an apply of metadata alone leaves the rest
                new = old | new | {"metadata": before | metadata}
            if "status" not in new and "status" in old:
                new["status"] = old["status"]
        self._touch(new)
        self.objects[identity] = new
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self.remove(*identity[::2], namespace=identity[1])
        return new

    def _touch(self, manifest: Manifest) -> None:
        self.version += 1
        manifest["metadata"]["resourceVersion"] = str(self.version)


def merge(before: Manifest, patch: Manifest) -> Manifest:
    """RFC 7386."""
    result = dict(before)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            inner = result.get(key)
            result[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = copy.deepcopy(value)
    return result
