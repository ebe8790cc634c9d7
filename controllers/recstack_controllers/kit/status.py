"""One status write for each reconcile, and none when nothing changed."""

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
    # Absent fields go as null: the patch is a merge, which keeps what it does not name.
    full = status.model_dump(mode="json", by_alias=True)
    metadata = live["metadata"]
    return await cluster.patch_status(
        kind, metadata["namespace"], metadata["name"], full, metadata["resourceVersion"]
    )
