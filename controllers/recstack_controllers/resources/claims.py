"""PersistentVolumeClaims: packages, and the training steps' intermediate state."""

from recstack_crds.v1alpha1.platform import ArtifactVolume

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.stack import Stack


def _claim(stack: Stack, name: str, component: str, keep: bool) -> Manifest:
    volume = stack.spec.stores.artifacts.volume or ArtifactVolume()
    spec: Manifest = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": volume.size}},
    }
    if volume.storage_class_name:
        spec["storageClassName"] = volume.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": stack.metadata(name, component, keep=keep),
        "spec": spec,
    }


def artifacts(stack: Stack) -> Manifest | None:
    """Claim of the packages; None when they are in S3 or on a claim that exists already."""
    name = names.artifacts(stack.name)
    if stack.artifacts_claim != name:
        return None
    return _claim(stack, name, "artifacts", keep=True)


def work(stack: Stack) -> Manifest:
    """Claim of the intermediate state; goes with the stack always, as it can be computed again."""
    return _claim(stack, names.work(stack.name), "training", keep=False)
