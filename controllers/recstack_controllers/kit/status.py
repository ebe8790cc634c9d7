"""One status write for each reconcile, and none when nothing changed."""

from typing import Any

from recstack_crds.v1alpha1.base import ApiModel

from recstack_controllers.kit.cluster import Cluster, Kind, Manifest


async def write(cluster: Cluster, kind: Kind, live: Manifest, status: ApiModel) -> Manifest:
    """Write ``status`` when it differs from that of ``live``; gives the object after it.

    Raises:
        ClusterError: 409 when the object was written since ``live`` was read.
    """
    wanted = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    before = live.get("status") or {}
    if wanted == before:
        return live
    metadata = live["metadata"]
    return await cluster.patch_status(
        kind,
        metadata["namespace"],
        metadata["name"],
        merge_patch(before, wanted),
        metadata["resourceVersion"],
    )


def merge_patch(before: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386: what turns ``before`` into ``wanted``; a merge keeps what it does not name as null."""
    patch: dict[str, Any] = {}
    for key, value in wanted.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            patch[key] = merge_patch(old, value)
        elif old != value:
            patch[key] = value
    return patch | {key: None for key in before if key not in wanted}
