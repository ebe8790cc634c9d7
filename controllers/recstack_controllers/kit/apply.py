"""Write only what differs, so that a settled stack costs no API write."""

import copy

from recstack_controllers.kit import names, ownership
from recstack_controllers.kit.cluster import Cluster, Kind, Manifest


def stamped(manifest: Manifest) -> Manifest:
    """A copy that carries the digest of its own content as an annotation."""
    result = copy.deepcopy(manifest)
    annotations = result["metadata"].setdefault("annotations", {})
    annotations[names.RENDERED] = names.digest(manifest, 16)
    return result


async def apply(cluster: Cluster, kind: Kind, manifest: Manifest, over: Manifest | None = None) -> Manifest:
    """Bring one object to ``manifest``; gives it as it is on the server.

    ``over``: the object that ``manifest`` was made from, if it must not have changed since.

    The digest on the live object is compared, not its fields: the server adds defaults and rewrites
    quantities, so that a comparison of fields would find a difference for ever. What somebody else changed
    since shows in who owns the fields.

    Raises:
        ClusterError: 409 when it was written after ``over`` was read.
    """
    wanted = stamped(manifest)
    metadata = wanted["metadata"]
    live = await cluster.get(kind, metadata.get("namespace"), metadata["name"])
    if live is not None:
        annotations = live["metadata"].get("annotations") or {}
        same = annotations.get(names.RENDERED) == metadata["annotations"][names.RENDERED]
        if same and ownership.complete(live, wanted):
            return live
    if over is not None:
        metadata["resourceVersion"] = over["metadata"]["resourceVersion"]
    return await cluster.apply(wanted)


def owner_reference(owner: Manifest) -> Manifest:
    """Makes garbage collection delete the child with ``owner``, which is its controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
