"""The serving pods: Triton and its gateway."""

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import pods, valkey
from recstack_controllers.resources.stack import ARTIFACTS_PATH, Stack

COMPONENT = "serving"
PLAN_PATH = "/etc/recstack/plan"
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
MODELS_PATH = "/models"
GATEWAY_MEMORY = "512Mi"
SHARED_MEMORY = "256Mi"
"""Triton's python backend passes tensors through /dev/shm; a container's own is 64 MiB."""

SURGE = "RECSTACK_SURGE"
"""Variable of the surge that a pod was started for."""

NVTABULAR_SOCKET = f"{MODELS_PATH}/nvtabular.sock"
NVTABULAR_MEMORY = "1Gi"


def deployment(
    stack: Stack, credentials_version: str, *, online: bool = True, surge: str = "", nvtabular: bool = False
) -> Manifest:
    """Deployment of the pods.

    ``credentials_version`` is the resourceVersion of the Valkey credentials, and the serving settings are
    hashed: a change of either replaces pods, which read both only when they start. ``online``: there are
    features in the feature store, if one is declared. ``surge``: another one replaces pods too.
    ``nvtabular``: a planned version has operators that are not compiled, so each pod has NVTabular.
    """
    spec = stack.spec.serving
    settings = spec.model_dump(mode="json", by_alias=True, exclude={"replicas", "gpus", "cpu", "memory"})
    if stack.spec.stores.feast is not None and online:
        settings["feastTtl"] = stack.spec.stores.feast.ttl
    settings_digest = names.digest(settings)
    result: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": stack.metadata(names.gateway(stack.name), COMPONENT),
        "spec": {
            "selector": {"matchLabels": names.selector(stack.name, COMPONENT)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": names.labels(stack.name, COMPONENT),
                    "annotations": {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": str(names.GATEWAY_PORT),
                        f"{names.GROUP}/serving": settings_digest,
                        f"{names.GROUP}/valkey": credentials_version,
                    },
                },
                "spec": {
                    "serviceAccountName": names.gateway(stack.name),
                    "automountServiceAccountToken": False,
                    **pods.shared(stack.settings),
                    "terminationGracePeriodSeconds": 30,
                    "containers": [
                        _triton(stack, nvtabular),
                        _gateway(stack, surge, nvtabular),
                        *([_nvtabular(stack)] if nvtabular else []),
                    ],
                    "volumes": _volumes(stack),
                },
            },
        },
    }
    if stack.spec.autoscaling is None:  # else the autoscaler owns the number
        result["spec"]["replicas"] = spec.replicas
    return result


def _container(stack: Stack, name: str, image: str, *command: str) -> Manifest:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": stack.settings.image_pull_policy,
        "command": ["python", "-m", *command],
        "securityContext": pods.container_security(),
    }


def _triton(stack: Stack, nvtabular: bool) -> Manifest:
    spec = stack.spec.serving
    return _container(stack, "triton", stack.settings.images.serving, "recstack_gateway.triton_server") | {
        "env": _environment(stack, nvtabular),
        "resources": pods.resources(spec.cpu, spec.memory, spec.gpus),
        # Told to stop, Triton unloads at once, and its gateway answers on until callers are elsewhere.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "10"]}}},
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS_PATH},
            {"name": "shm", "mountPath": "/dev/shm"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _nvtabular(stack: Stack) -> Manifest:
    """NVTabular, of the image that fitted the workflows, as a function that is declared is in no other."""
    image, module = stack.settings.images.training, "recstack_training.beside"
    return _container(stack, "nvtabular", image, module, NVTABULAR_SOCKET) | {
        # Libraries write caches below HOME, and the image's user has none of its own.
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": pods.resources("100m", NVTABULAR_MEMORY, 0),
        # As Triton: models that answer on need it.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "10"]}}},
        "volumeMounts": [
            {"name": "models", "mountPath": MODELS_PATH},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _gateway(stack: Stack, surge: str, nvtabular: bool) -> Manifest:
    return _container(stack, "gateway", stack.settings.images.serving, "recstack_gateway.main") | {
        "env": [
            *_environment(stack, nvtabular),
            {"name": "ARTIFACTS", "value": stack.artifacts_uri},
            *pods.s3_environment(stack.artifacts_s3),
            *_tracing(stack),
            *([{"name": SURGE, "value": surge}] if surge else []),
        ],
        "ports": [{"name": "http", "containerPort": names.GATEWAY_PORT}],
        "readinessProbe": probe("/readyz", period=2, failures=3),
        "livenessProbe": probe("/healthz", period=10, failures=6),
        "resources": pods.resources("100m", GATEWAY_MEMORY, 0),
        "volumeMounts": reader_mounts(stack),
    }


def _environment(stack: Stack, nvtabular: bool) -> list[Manifest]:
    """What both containers are told: the models read what users saw, the gateway writes it."""
    return [
        *pods.stack_environment(stack.namespace, stack.name),
        valkey.url_environment(stack),
        *([{"name": "NVTABULAR_SOCKET", "value": NVTABULAR_SOCKET}] if nvtabular else []),
    ]


def _tracing(stack: Stack) -> list[Manifest]:
    """Variables of the OpenTelemetry SDK, as its specification names them (sdk-environment-variables)."""
    wanted = stack.spec.serving.tracing
    if wanted is None:
        return []
    attributes = f"k8s.namespace.name={stack.namespace},service.namespace={stack.namespace}"
    values = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": wanted.endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(wanted.sample_ratio),
        "OTEL_SERVICE_NAME": stack.name,
        "OTEL_RESOURCE_ATTRIBUTES": attributes,
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def probe(path: str, period: int, failures: int) -> Manifest:
    """Of a container's port ``http``; ``period`` in seconds."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _volumes(stack: Stack) -> list[Manifest]:
    return [
        pods.temporary("models"),
        pods.temporary("tmp"),
        pods.temporary("shm", "Memory", SHARED_MEMORY),
        *reader_volumes(stack),
    ]


def reader_mounts(stack: Stack) -> list[Manifest]:
    """What a container mounts that follows the plan, reads repositories of the API server, and packages."""
    mounts: list[Manifest] = [
        {"name": "models", "mountPath": MODELS_PATH},
        {"name": "plan", "mountPath": PLAN_PATH, "readOnly": True},
        {"name": "token", "mountPath": TOKEN_PATH, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    if stack.artifacts_claim:
        mounts.append({"name": "artifacts", "mountPath": ARTIFACTS_PATH, "readOnly": True})
    return mounts


def reader_volumes(stack: Stack, *, writes: bool = False) -> list[Manifest]:
    """The plan and the packages, for those mounts; ``writes``: somebody else in the pod puts files there."""
    volumes: list[Manifest] = [{"name": "plan", "configMap": {"name": names.plan(stack.name)}}, _token()]
    if stack.artifacts_claim:
        claim: Manifest = {"claimName": stack.artifacts_claim}
        claim |= {} if writes else {"readOnly": True}
        volumes.append({"name": "artifacts", "persistentVolumeClaim": claim})
    return volumes


def _token() -> Manifest:
    """What ``automountServiceAccountToken`` mounts, but into the containers that ask for it only.

    https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
    """
    authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    sources: list[Manifest] = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": authority},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": "token", "projected": {"sources": sources}}


def service(stack: Stack) -> Manifest:
    """Service of the gateways, named as the stack."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": stack.metadata(stack.name, COMPONENT),
        "spec": {
            "selector": names.selector(stack.name, COMPONENT),
            "ports": [{"name": "http", "port": names.GATEWAY_PORT, "targetPort": "http"}],
        },
    }


def endpoint(stack: Stack) -> str:
    """Address of the Service inside the cluster."""
    return f"http://{stack.name}.{stack.namespace}.svc:{names.GATEWAY_PORT}"
