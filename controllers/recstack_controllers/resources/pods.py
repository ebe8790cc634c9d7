"""What all pods share: the restricted Pod Security Standard, resources, S3 credentials."""

from recstack_crds.v1alpha1.data import S3Location

from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources.steps import BAD_INPUT_EXIT_CODE
from recstack_controllers.settings import Settings

USER = 65532
GPU = "nvidia.com/gpu"
CONTAINER = "step"
"""Of a Job's pod."""


def pod_security() -> Manifest:
    """Pod security context of the ``restricted`` standard; fsGroup makes volumes writable."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def shared(settings: Settings) -> Manifest:
    """What the spec of every pod has: no service links, the standard's context, pull Secrets if there are."""
    result: Manifest = {"enableServiceLinks": False, "securityContext": pod_security()}
    if settings.image_pull_secrets:
        result["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return result


def container_security() -> Manifest:
    """Container security context of the ``restricted`` standard."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def resources(cpu: str, memory: str, gpus: int) -> Manifest:
    """CPU is requested, not limited: throttling hurts latency more than a neighbour does."""
    limits: Manifest = {"memory": memory}
    if gpus:
        limits[GPU] = gpus
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": limits}


def stack_environment(namespace: str, stack: str) -> list[Manifest]:
    """Whose pod it is."""
    return [{"name": "RECSTACK_NAMESPACE", "value": namespace}, {"name": "RECSTACK_STACK", "value": stack}]


def s3_environment(location: S3Location | None) -> list[Manifest]:
    """Environment of the AWS SDKs for ``location``; without Secret the pod's own identity is used."""
    if location is None:
        return []
    result: list[Manifest] = [{"name": "AWS_DEFAULT_REGION", "value": location.region}]
    if location.endpoint:
        result.append({"name": "AWS_ENDPOINT_URL", "value": location.endpoint})
    if location.secret_name:
        result.extend(
            {"name": key, "valueFrom": {"secretKeyRef": {"name": location.secret_name, "key": key}}}
            for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        )
    return result


def job_template(
    settings: Settings, labels: Manifest, container: Manifest, volumes: list[Manifest]
) -> Manifest:
    """Pod template of a Job whose one container runs once and asks nothing of the API server."""
    return {
        "metadata": {"labels": dict(labels)},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            **shared(settings),
            "containers": [container],
            "volumes": volumes,
        },
    }


def failure_policy() -> Manifest:
    """Bad input ends a Job of ``CONTAINER`` at once; other failures use its retries up."""
    exit_codes = {"containerName": CONTAINER, "operator": "In", "values": [BAD_INPUT_EXIT_CODE]}
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": exit_codes},
            # Taken off its node: not the Job's fault, so no retry is used up.
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        ]
    }


def temporary(name: str, medium: str | None = None, size: str | None = None) -> Manifest:
    """A volume that lives as long as its pod."""
    source: Manifest = {}
    if medium:
        source["medium"] = medium
    if size:
        source["sizeLimit"] = size
    return {"name": name, "emptyDir": source}
