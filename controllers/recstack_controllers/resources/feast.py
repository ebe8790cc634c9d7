"""Feast of a stack: its repository, the Job that applies it, the CronJob of increments, the Job of its end.

The layout of the offline files: ``docs/spec/offline.md``. What the commands do: ``training_images/feast``.
"""

import json
from collections.abc import Sequence

import yaml
from recstack_crds.v1alpha1.features import Feature
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_crds.v1alpha1.platform import Feast
from recstack_triton_templates import feast_names

from recstack_controllers.kit import duration, names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import pods, valkey
from recstack_controllers.resources.pods import CONTAINER
from recstack_controllers.resources.stack import ARTIFACTS_PATH, Stack, Version

COMPONENT = "features"
CONFIG_PATH = "/etc/recstack"
KEPT_SECONDS = 24 * 3600
"""How long a Job that has ended can be looked at; its name is never used again."""
CONNECTION = "${RECSTACK_FEAST_CONNECTION}"
"""Put in by the image from the Secret's URL: the repository holds no password."""


def ttl_seconds(feast: Feast) -> int:
    """How long a row counts."""
    return duration.seconds(feast.ttl)


def repository(stack: Stack, feast: Feast, version: Version) -> Manifest:
    """Feast repository for the features of ``version``, whose offline files tell their types."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": stack.metadata(names.feast(stack.name), COMPONENT),
        "data": {
            "feature_store.yaml": yaml.safe_dump(_store(stack, feast)),
            "definitions.json": json.dumps(_definitions(stack, feast, version), indent=1) + "\n",
        },
    }


def digest(repository: Manifest) -> str:
    """What a repository says: features, version, stores."""
    return names.digest(repository["data"])


def job(stack: Stack, feast: Feast, digest: str, runs: int) -> Manifest:
    """Job that applies the repository and materializes what is offline; ``runs``: how many did so before."""
    metadata = stack.metadata(names.feast_job(stack.name, digest, runs), COMPONENT)
    spec = _job(stack, feast, metadata["labels"], ["apply", "materialize"])
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": spec | {"ttlSecondsAfterFinished": KEPT_SECONDS},
    }


def cron_job(stack: Stack, feast: Feast, *, suspended: bool) -> Manifest:
    """CronJob of the increments; ``suspended`` while a repository is applied, as both write the registry."""
    metadata = stack.metadata(names.feast(stack.name), COMPONENT)
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata,
        "spec": {
            "schedule": feast.schedule.cron,
            "timeZone": feast.schedule.time_zone,
            "concurrencyPolicy": "Forbid",
            "suspend": suspended,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "metadata": {"labels": dict(metadata["labels"])},
                "spec": _job(stack, feast, metadata["labels"], ["materialize-incremental"]),
            },
        },
    }


def deletion(stack: Stack, feast: Feast) -> Manifest:
    """Job that deletes what Feast has of the stack: rows in Valkey, tables in Glue's catalog."""
    metadata = stack.metadata(names.feast_deletion(stack.name), COMPONENT)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": _job(stack, feast, metadata["labels"], ["delete"]),
    }


def outlives(stack: Stack) -> bool:
    """Whether rows or tables lie where garbage collection does not reach: your Valkey, Glue's catalog."""
    feast = stack.spec.stores.feast
    return feast is not None and (valkey.managed(stack) is None or feast.offline.athena is not None)


def _store(stack: Stack, feast: Feast) -> Manifest:
    """``feature_store.yaml``."""
    registry = f"{_offline(stack)}/registry.db".removeprefix("file://")
    athena = feast.offline.athena
    offline: Manifest = {"type": "recstack_feast.offline.ParquetOfflineStore"}
    if athena is not None:
        offline = {
            "type": "athena",
            "data_source": athena.data_source,
            "region": athena.region,
            "database": athena.database,
            "workgroup": athena.workgroup,
            "s3_staging_location": athena.s3_staging_location,
        }
    return {
        "project": feast_names.project(stack.namespace, stack.name),
        "provider": "local",
        "registry": {"registry_type": "file", "path": registry, "cache_ttl_seconds": 0},
        "online_store": {"type": "redis", "connection_string": CONNECTION},
        "offline_store": offline,
        "entity_key_serialization_version": 3,
    }


def _definitions(stack: Stack, feast: Feast, version: Version) -> Manifest:
    """Entities and views, for the image to make objects of."""
    recipe: Recipe = version.spec.recipe
    tables, features = recipe.data.tables, recipe.features
    athena, s3 = feast.offline.athena, stack.artifacts_s3
    views = []
    for name, entity, key, declared in (
        (feast_names.USER_VIEW, "user", tables.users.id, features.user),
        (feast_names.ITEM_VIEW, "item", tables.items.id, features.item),
    ):
        view: Manifest = {
            "name": name,
            "entity": entity,
            "key": key,
            "columns": columns(declared, key),
            "ttlSeconds": ttl_seconds(feast),
        }
        if athena is not None:
            # Stacks that have the same project would have the same table, too.
            view["table"] = f"{feast_names.project(stack.namespace, stack.name)}_{name}"
        if view["columns"]:  # without any, Feast would take whatever the files have
            views.append(view)
    result: Manifest = {"offline": _offline(stack), "snapshot": version.name, "views": views}
    if s3 is not None and s3.endpoint:
        result["endpoint"] = s3.endpoint
    if athena is not None:
        result["athena"] = {
            "database": athena.database,
            "dataSource": athena.data_source,
            "region": athena.region,
        }
    return result


def columns(features: Sequence[Feature], key: str) -> list[str]:
    """Columns of a view, without the id."""
    return [name for name in dict.fromkeys(feature.column for feature in features) if name != key]


def _offline(stack: Stack) -> str:
    return f"{stack.artifacts_uri}/offline/{stack.namespace}/{stack.name}"


def _job(stack: Stack, feast: Feast, labels: Manifest, commands: list[str]) -> Manifest:
    """Spec of a Job that runs ``commands`` once to success."""
    s3 = stack.artifacts_s3
    mounts: list[Manifest] = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "repository", "mountPath": CONFIG_PATH, "readOnly": True},
    ]
    volumes: list[Manifest] = [
        pods.temporary("tmp"),
        {"name": "repository", "configMap": {"name": names.feast(stack.name)}},
    ]
    if stack.artifacts_claim:
        mounts.append({"name": "artifacts", "mountPath": ARTIFACTS_PATH})
        volumes.append({"name": "artifacts", "persistentVolumeClaim": {"claimName": stack.artifacts_claim}})
    environment: list[Manifest] = [
        {"name": "HOME", "value": "/tmp"},
        valkey.url_environment(stack),
        *pods.s3_environment(s3),
    ]
    if s3 is not None and s3.endpoint:
        # Feast's registry knows no other way to another server than AWS.
        environment.append({"name": "FEAST_S3_ENDPOINT_URL", "value": s3.endpoint})
    container: Manifest = {
        "name": CONTAINER,
        "image": stack.settings.images.feast,
        "imagePullPolicy": stack.settings.image_pull_policy,
        "command": ["python", "-m", "recstack_feast", *commands, "--repository", CONFIG_PATH],
        "env": environment,
        "resources": pods.resources(feast.cpu, feast.memory, 0),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    return {
        "backoffLimit": 3,
        "podFailurePolicy": pods.failure_policy(),
        "template": pods.job_template(stack.settings, labels, container, volumes),
    }
