"""The Job that deletes a stack's packages from a store that does not go with the stack."""

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import pods
from recstack_controllers.resources.stack import ARTIFACTS_PATH, Stack

COMPONENT = "cleanup"
CONTAINER = "delete"


def needed(stack: Stack) -> bool:
    """Whether packages lie where garbage collection cannot reach: in S3, or on a claim that was given."""
    return stack.artifacts_claim != names.artifacts(stack.name)


def job(stack: Stack) -> Manifest:
    """Job that deletes every package whose manifest names this stack."""
    metadata = stack.metadata(names.cleanup(stack.name), COMPONENT)
    mounts: list[Manifest] = [{"name": "tmp", "mountPath": "/tmp"}]
    volumes: list[Manifest] = [pods.temporary("tmp")]
    if stack.artifacts_claim:
        mounts.append({"name": "artifacts", "mountPath": ARTIFACTS_PATH})
        volumes.append({"name": "artifacts", "persistentVolumeClaim": {"claimName": stack.artifacts_claim}})
    container: Manifest = {
        "name": CONTAINER,
        "image": stack.settings.images.training,
        "imagePullPolicy": stack.settings.image_pull_policy,
        "command": [
            "python", "-m", "recstack_training.delete_packages",
            "--artifacts", stack.artifacts_uri,
            "--stack", f"{stack.namespace}/{stack.name}",
        ],
        "env": [{"name": "HOME", "value": "/tmp"}, *pods.s3_environment(stack.artifacts_s3)],
        "resources": pods.resources("50m", "512Mi", 0),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }  # fmt: skip
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 3,
            "template": pods.job_template(stack.settings, metadata["labels"], container, volumes),
        },
    }
