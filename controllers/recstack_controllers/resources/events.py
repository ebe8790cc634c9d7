"""The pod that works off events, and what the plan says of them."""

from recstack_crds.v1alpha1.features import Feature, Op
from recstack_triton_templates import feast_names

from recstack_controllers.kit import duration, names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import feast, pods, valkey
from recstack_controllers.resources.serving import probe, reader_mounts, reader_volumes
from recstack_controllers.resources.stack import ARTIFACTS_PATH, Stack

COMPONENT = "events"
LOGGER_MEMORY = "256Mi"


def deployment(stack: Stack, credentials_version: str) -> Manifest:
    """One pod; the plan tells it what to do, so a change of ``spec.events`` replaces it seldom.

    ``credentials_version`` is the resourceVersion of the Valkey credentials, which it reads when it starts.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": stack.metadata(names.events(stack.name), COMPONENT),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": names.selector(stack.name, COMPONENT)},
            # Events wait in their stream meanwhile; two at once would only wait for each other.
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {
                    "labels": names.labels(stack.name, COMPONENT),
                    "annotations": {f"{names.GROUP}/valkey": credentials_version},
                },
                "spec": {
                    "serviceAccountName": names.events(stack.name),
                    "automountServiceAccountToken": False,
                    **pods.shared(stack.settings),
                    "terminationGracePeriodSeconds": 15,
                    "containers": [_container(stack), *_logger(stack)],
                    "volumes": _volumes(stack),
                },
            },
        },
    }


def _container(stack: Stack) -> Manifest:
    return {
        "name": "events",
        "image": stack.settings.images.serving,
        "imagePullPolicy": stack.settings.image_pull_policy,
        "command": ["python", "-m", "recstack_gateway.worker"],
        "env": [
            *pods.stack_environment(stack.namespace, stack.name),
            valkey.url_environment(stack),
            *pods.s3_environment(stack.artifacts_s3),
        ],
        "ports": [{"name": "http", "containerPort": names.GATEWAY_PORT}],
        "readinessProbe": probe("/healthz", period=5, failures=3),
        "livenessProbe": probe("/healthz", period=10, failures=6),
        "resources": pods.resources(stack.spec.events.cpu, stack.spec.events.memory, 0),
        "securityContext": pods.container_security() | {"readOnlyRootFilesystem": True},
        "volumeMounts": reader_mounts(stack),
    }


def _logger(stack: Stack) -> list[Manifest]:
    """Beside it, where features follow from events: what brings their rows to the offline store."""
    if not _logs(stack):
        return []
    mounts: list[Manifest] = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "repository", "mountPath": feast.CONFIG_PATH, "readOnly": True},
    ]
    if stack.artifacts_claim:
        mounts.append({"name": "artifacts", "mountPath": ARTIFACTS_PATH})
    container: Manifest = {
        "name": "features",
        "image": stack.settings.images.feast,
        "imagePullPolicy": stack.settings.image_pull_policy,
        "command": ["python", "-m", "recstack_feast.logger", "--repository", feast.CONFIG_PATH],
        "env": [
            *pods.stack_environment(stack.namespace, stack.name),
            valkey.url_environment(stack),
            *pods.s3_environment(stack.artifacts_s3),
        ],
        "resources": pods.resources("10m", LOGGER_MEMORY, 0),
        "securityContext": pods.container_security() | {"readOnlyRootFilesystem": True},
        "volumeMounts": mounts,
    }
    return [container]


def _volumes(stack: Stack) -> list[Manifest]:
    volumes = [pods.temporary("models"), pods.temporary("tmp")]
    volumes += reader_volumes(stack, writes=_logs(stack))
    if _logs(stack):
        # Made when there are features to know; what changed before then waits in its stream.
        repository = {"name": names.feast(stack.name), "optional": True}
        volumes.append({"name": "repository", "configMap": repository})
    return volumes


def _logs(stack: Stack) -> bool:
    return _behaviour(stack) is not None


def settings(stack: Stack) -> Manifest | None:
    """What gateways and the pod read of events in the plan; None: they are not worked off."""
    spec = stack.spec.events
    if not spec.enabled:
        return None
    return {
        "types": {one.name: one.weight for one in spec.types},
        "trendingHalfLifeSeconds": duration.seconds(spec.trending_half_life),
        "trendingBy": trending_by(stack),
        "recentItems": spec.recent_items,
        "retentionSeconds": duration.seconds(spec.retention),
        "behaviour": _behaviour(stack),
    }


def _behaviour(stack: Stack) -> Manifest | None:
    """What follows from events in the feature store; of item columns whose values serving can tell."""
    spec = stack.spec
    told = {one.column for one in spec.features.item if _plain(one)}
    derived = {one.column: one.most_frequent for one in spec.features.user if one.most_frequent in told}
    if spec.stores.feast is None or not derived:
        return None
    key = spec.data.tables.users.id
    return {
        "project": feast_names.project(stack.namespace, stack.name),
        "joinKey": key,
        "columns": feast.columns(spec.features.user, key),
        "derived": derived,
        "windowSeconds": duration.seconds(spec.events.behaviour_window),
        "ttlSeconds": feast.ttl_seconds(spec.stores.feast),
    }


def trending_by(stack: Stack) -> list[str]:
    """Columns of the item table whose values have trending lists."""
    features, by = stack.spec.features, stack.spec.serving.trending.by
    if by is None:
        derived = {feature.most_frequent for feature in features.user}
        return sorted(one.column for one in features.item if one.column in derived and _plain(one))
    columns = {feature.name: feature.column for feature in features.item}
    return sorted({columns[name] for name in by})


def _plain(feature: Feature) -> bool:
    """Whether serving can tell the raw values of a feature."""
    return [operator.op for operator in feature.ops] == [Op.CATEGORIFY]
