"""Every builder against the file that a person has read; UPDATE_GOLDEN=1 writes them anew."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import (
    access,
    autoscaler,
    check,
    claims,
    cleanup,
    configmaps,
    disruption,
    events,
    feast,
    job,
    modelversion,
    network,
    prune,
    serving,
    steps,
    valkey,
)
from recstack_controllers.resources.stack import Stack, Version
from recstack_controllers.settings import Images, Settings
from recstack_crds.v1alpha1 import ModelVersionSpec, RecommenderStackSpec
from recstack_crds.v1alpha1.models import Kind
from recstack_crds.v1alpha1.modelversion import Days
from recstack_crds.v1alpha1.platform import Autoscaling, Feast, ManagedValkey

FOLDER = Path(__file__).parents[2] / "golden" / "controllers"
SETTINGS = Settings(
    Images("training:1", "serving:1", "valkey:1", "feast:1"), "IfNotPresent", "recstack-system"
)
S3 = {"bucket": "shop", "prefix": "models/", "endpoint": "http://s3:9000", "secretName": "s3-keys"}


def make(spec: Manifest) -> tuple[Stack, Version]:
    stack = Stack("shop", "retail", "uid-1", RecommenderStackSpec.model_validate(spec), SETTINGS)
    recipe = stack.recipe
    return stack, Version("retail-1a2b", "uid-2", ModelVersionSpec(stack="retail", recipe=recipe))


DEFAULT, VERSION = make({})
FULL, FULL_VERSION = make(
    {
        "data": {"source": {"volume": {"claimName": "tables", "path": "retail"}}},
        "stores": {
            "artifacts": {"s3": S3},
            "valkey": {"external": {"host": "cache.example", "tls": True, "secretName": "cache"}},
        },
        "training": {"gpus": 1, "cpu": "4", "memory": "16Gi", "retries": 0},
        "serving": {"gpus": 1},
        "autoscaling": {"maxReplicas": 8},
        "deletionPolicy": "Retain",
    }
)
S3_STACK, S3_VERSION = make({"data": {"source": {"s3": S3 | {"secretName": "data-keys"}}}})
CATALOG, CATALOG_VERSION = make(
    {"data": {"source": {"synthetic": {"catalog": {"claimName": "shop", "path": "catalog/products.yaml"}}}}}
)
FINE_TUNE = replace(
    VERSION,
    spec=ModelVersionSpec(
        stack="retail",
        kind=Kind.FINE_TUNE,
        parent="retail-0a",
        days=Days(first="day_12.parquet", last="day_12.parquet"),
        recipe=VERSION.spec.recipe,
    ),
)
FEAST, FEAST_VERSION = make({"stores": {"feast": {}}})
FEAST_S3, FEAST_S3_VERSION = make(
    {
        "stores": {
            "artifacts": {"s3": S3},
            "valkey": {"external": {"host": "cache.example", "tls": True, "secretName": "cache"}},
            "feast": {
                "ttl": "12h",
                "memory": "4Gi",
                "schedule": {"cron": "*/5 * * * *", "timeZone": "Europe/Berlin"},
            },
        }
    }
)
ATHENA, ATHENA_VERSION = make(
    {
        "stores": {
            "artifacts": {"s3": {"bucket": "shop", "region": "eu-central-1"}},
            "feast": {
                "offline": {
                    "athena": {
                        "database": "shop",
                        "region": "eu-central-1",
                        "s3StagingLocation": "s3://shop/athena",
                    }
                }
            },
        }
    }
)


def declared(stack: Stack) -> Feast:
    feast = stack.spec.stores.feast
    assert feast is not None
    return feast


EMBEDDED, EMBEDDED_VERSION = make(
    {
        "data": {"source": {"volume": {"claimName": "tables"}}},
        "features": {
            "embeddings": [
                {
                    "name": "look",
                    "from": {"image": {"path": "pictures/{id}.jpg"}},
                    "encoder": {"weights": {"volume": {"claimName": "checkpoints", "path": "clip"}}},
                },
                {
                    "name": "words",
                    "from": {"text": {"column": "about"}},
                    "encoder": {"weights": {"s3": S3 | {"secretName": "weights-keys"}}},
                },
            ]
        },
    }
)
LOGIN = valkey.Credentials("default", "secret")
PLAN = configmaps.Plan(
    "retail-1a2b",
    (configmaps.PlannedVersion("retail-1a2b", "sha256:00", "retail-repo", "file:///artifacts/shop/retail"),),
    ("retail-0000",),
)
FILES = {"m/config.pbtxt": b"a", "m/1/model.py": b"b"}
BUILDERS: dict[str, Callable[[], Manifest | None]] = {
    "claim-artifacts": lambda: claims.artifacts(DEFAULT),
    "claim-work": lambda: claims.work(DEFAULT),
    "valkey-secret": lambda: valkey.secret(DEFAULT, LOGIN),
    "valkey-secret-external": lambda: valkey.secret(FULL, valkey.Credentials("shop", "p@ss/word")),
    "valkey-service": lambda: valkey.service(DEFAULT),
    "valkey-statefulset": lambda: valkey.stateful_set(DEFAULT, ManagedValkey()),
    "recipe": lambda: configmaps.recipe(DEFAULT, VERSION),
    "repository": lambda: configmaps.repository(DEFAULT, VERSION.name, FILES),
    "plan": lambda: configmaps.plan(DEFAULT, PLAN, 3),
    "service-account": lambda: access.service_account(DEFAULT),
    "role": lambda: access.role(DEFAULT),
    "role-binding": lambda: access.role_binding(DEFAULT),
    "deployment": lambda: serving.deployment(DEFAULT, "1"),
    "deployment-nvtabular": lambda: serving.deployment(DEFAULT, "1", nvtabular=True),
    "deployment-full": lambda: serving.deployment(FULL, "1"),
    "service": lambda: serving.service(DEFAULT),
    "disruption-budget": lambda: disruption.budget(DEFAULT),
    "network-serving": lambda: network.serving(DEFAULT),
    "network-valkey": lambda: network.valkey(DEFAULT),
    "network-training": lambda: network.training(DEFAULT),
    "events-service-account": lambda: access.service_account(DEFAULT, "events"),
    "events-role": lambda: access.role(DEFAULT, "events"),
    "events-role-binding": lambda: access.role_binding(DEFAULT, "events"),
    "events-deployment": lambda: events.deployment(DEFAULT, "1"),
    "events-deployment-s3": lambda: events.deployment(FULL, "1"),
    "events-deployment-feast": lambda: events.deployment(FEAST, "1"),
    "events-deployment-feast-s3": lambda: events.deployment(FEAST_S3, "1"),
    "network-events": lambda: network.events(DEFAULT),
    "autoscaler": lambda: autoscaler.autoscaler(FULL, Autoscaling(max_replicas=8)),
    "job-ingest": lambda: job.job(DEFAULT, VERSION, steps.Step.INGEST),
    "job-evaluate-live": lambda: job.job(DEFAULT, VERSION, steps.Step.EVALUATE, "sha256:00"),
    "job-package-full": lambda: job.job(FULL, FULL_VERSION, steps.Step.PACKAGE),
    "job-ingest-volume": lambda: job.job(FULL, FULL_VERSION, steps.Step.INGEST),
    "job-ingest-catalog": lambda: job.job(CATALOG, CATALOG_VERSION, steps.Step.INGEST),
    "job-ingest-s3": lambda: job.job(S3_STACK, S3_VERSION, steps.Step.INGEST),
    "job-embed": lambda: job.job(EMBEDDED, EMBEDDED_VERSION, steps.Step.EMBED),
    "job-delete-packages-s3": lambda: cleanup.job(FULL),
    "feast-repository": lambda: feast.repository(FEAST, declared(FEAST), FEAST_VERSION),
    "feast-repository-s3": lambda: feast.repository(FEAST_S3, declared(FEAST_S3), FEAST_S3_VERSION),
    "feast-repository-athena": lambda: feast.repository(ATHENA, declared(ATHENA), ATHENA_VERSION),
    "feast-job": lambda: feast.job(FEAST, declared(FEAST), "0a1b2c3d", 2),
    "feast-job-s3": lambda: feast.job(FEAST_S3, declared(FEAST_S3), "0a1b2c3d", 0),
    "feast-cron-job": lambda: feast.cron_job(FEAST_S3, declared(FEAST_S3), suspended=True),
    "feast-deletion": lambda: feast.deletion(FEAST_S3, declared(FEAST_S3)),
    "network-valkey-feast": lambda: network.valkey(FEAST),
    "network-feast": lambda: network.features(FEAST),
    "job-finetune": lambda: job.job(DEFAULT, FINE_TUNE, steps.Step.PARENT, parent_package="sha256:00"),
    "job-check": lambda: check.job(FULL, FULL_VERSION, "2026-01-01T00:00:00Z", "day_11.parquet"),
    "job-prune": lambda: prune.job(DEFAULT, ["retail-0a", "retail-0b"], ["sha256:00"]),
    "modelversion-finetune": lambda: modelversion.model_version(
        DEFAULT,
        modelversion.Origin(None, "newData/day_12.parquet", Kind.FINE_TUNE, "newData"),
        "retail-0a",
        Days(first="day_12.parquet", last="day_12.parquet"),
    ),
    "modelversion": lambda: modelversion.model_version(DEFAULT),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_builder(name: str) -> None:
    text = yaml.safe_dump(BUILDERS[name](), sort_keys=True, width=100)
    file = FOLDER / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        FOLDER.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_every_golden_file_has_a_builder() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(BUILDERS)


def test_replicas_are_left_to_the_autoscaler() -> None:
    assert serving.deployment(DEFAULT, "1")["spec"]["replicas"] == 1
    assert "replicas" not in serving.deployment(FULL, "1")["spec"]


def test_retained_data_has_no_owner() -> None:
    retain = {"deletionPolicy": "Retain"}
    kept = claims.artifacts(make(retain)[0])
    assert kept is not None
    assert "ownerReferences" not in kept["metadata"]
    assert claims.work(make(retain)[0])["metadata"]["ownerReferences"]
    gone = claims.artifacts(DEFAULT)
    assert gone is not None
    assert gone["metadata"]["ownerReferences"][0]["uid"] == "uid-1"


def test_artifacts_elsewhere_need_no_claim() -> None:
    assert claims.artifacts(FULL) is None
    assert claims.artifacts(make({"stores": {"artifacts": {"volume": {"claimName": "x"}}}})[0]) is None
    assert FULL.artifacts_uri == "s3://shop/models"


def test_same_recipe_has_the_same_name() -> None:
    assert modelversion.name(DEFAULT) == modelversion.name(make({"serving": {"replicas": 3}})[0])
    assert modelversion.name(DEFAULT) != modelversion.name(make({"training": {"seed": 1}})[0])


def test_serving_settings_replace_pods() -> None:
    def template(spec: Manifest) -> Manifest:
        return dict(serving.deployment(make(spec)[0], "1")["spec"]["template"])

    assert template({}) == template({"serving": {"replicas": 3}})
    assert template({}) != template({"serving": {"topK": 10}})


def test_repository_name_follows_its_content() -> None:
    one = configmaps.repository(DEFAULT, VERSION.name, {"a": b"1"})["metadata"]["name"]
    other = configmaps.repository(DEFAULT, VERSION.name, {"a": b"2"})["metadata"]["name"]
    assert one != other


def test_plan_reads_back() -> None:
    assert configmaps.read_plan(configmaps.plan(DEFAULT, PLAN, 3)) == (PLAN, 3)
    assert configmaps.read_plan(None) == (configmaps.Plan(None, (), ()), 0)


def test_pull_secrets_reach_every_pod() -> None:
    settings = replace(SETTINGS, image_pull_secrets=("registry",))
    stack, full = replace(DEFAULT, settings=settings), replace(FULL, settings=settings)
    for workload in (
        job.job(stack, VERSION, steps.Step.INGEST),
        serving.deployment(stack, "1"),
        valkey.stateful_set(stack, ManagedValkey()),
        cleanup.job(full),
    ):
        assert workload["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
