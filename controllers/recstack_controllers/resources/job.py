"""The Job of one training step."""

from recstack_crds.v1alpha1.data import S3Location, Source
from recstack_crds.v1alpha1.modelversion import Recipe

from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.resources import configmaps, pods
from recstack_controllers.resources.stack import ARTIFACTS_PATH, Stack, Version
from recstack_controllers.resources.steps import CONTRACTS, Arguments, Step, command

CONFIG_PATH = "/etc/recstack"
WEIGHTS_PATH = "/weights"
"""Claims with encoders' checkpoints are mounted below it, each under its own name."""


def job(
    stack: Stack, version: Version, step: Step, live_package: str = "", parent_package: str = ""
) -> Manifest:
    """Job that runs ``step`` once to success.

    ``live_package``: digest that the evaluation's relative gates compare with; empty: none.
    ``parent_package``: digest that a fine-tune goes on from; empty: none.
    It has no TTL: garbage collection takes it with its version, and until then its pod's result can be
    read.
    """
    training = version.spec.recipe.training
    metadata = version.metadata(stack, names.job(version.name, step), "training")
    metadata["labels"] |= {names.STEP: step.value}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": training.retries,
            "podFailurePolicy": pods.failure_policy(),
            "template": pods.job_template(
                stack.settings,
                metadata["labels"],
                _container(stack, version, step, live_package, parent_package),
                _volumes(stack, version, step),
            ),
        },
    }


def _container(
    stack: Stack, version: Version, step: Step, live_package: str, parent_package: str
) -> Manifest:
    days = version.spec.days
    training = version.spec.recipe.training
    source = version.spec.recipe.data.source
    mounts: list[Manifest] = [
        {"name": "work", "mountPath": "/work"},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "recipe", "mountPath": CONFIG_PATH, "readOnly": True},
    ]
    if stack.artifacts_claim:
        mounts.append({"name": "artifacts", "mountPath": ARTIFACTS_PATH})
    if _data_claim(source, step):
        mounts.append({"name": "data", "mountPath": "/data", "readOnly": True})
    mounts.extend(
        {"name": _weights_volume(number), "mountPath": f"{WEIGHTS_PATH}/{claim}", "readOnly": True}
        for number, claim in enumerate(_weights_claims(version.spec.recipe, step))
    )
    arguments = Arguments(
        config=f"{CONFIG_PATH}/{configmaps.RECIPE_KEY}",
        work="/work",
        artifacts=stack.artifacts_uri,
        version=version.name,
        stack=f"{stack.namespace}/{stack.name}",
        image=stack.settings.images.training,
        live_package=live_package,
        parent_package=parent_package,
        days=(days.first, days.last) if days else None,
    )
    return {
        "name": pods.CONTAINER,
        "image": stack.settings.images.training,
        "imagePullPolicy": stack.settings.image_pull_policy,
        "command": command(step, arguments),
        # Libraries write caches below HOME, and the image's user has none of its own.
        "env": [
            {"name": "HOME", "value": "/tmp"},
            *pods.s3_environment(_s3(stack, version.spec.recipe, step)),
        ],
        "resources": pods.resources(training.cpu, training.memory, training.gpus),
        "securityContext": pods.container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _volumes(stack: Stack, version: Version, step: Step) -> list[Manifest]:
    volumes: list[Manifest] = [
        {"name": "work", "persistentVolumeClaim": {"claimName": names.work(stack.name)}},
        pods.temporary("tmp"),
        {"name": "recipe", "configMap": {"name": names.recipe(version.name)}},
    ]
    if stack.artifacts_claim:
        claim = {"claimName": stack.artifacts_claim}
        volumes.append({"name": "artifacts", "persistentVolumeClaim": claim})
    if claim_name := _data_claim(version.spec.recipe.data.source, step):
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim_name, "readOnly": True}})
    volumes.extend(
        {"name": _weights_volume(number), "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        for number, claim in enumerate(_weights_claims(version.spec.recipe, step))
    )
    return volumes


def _s3(stack: Stack, recipe: Recipe, step: Step) -> S3Location | None:
    """What a step has credentials for: the source, the weights or the artifacts; they never meet."""
    contract, source = CONTRACTS[step], recipe.data.source
    if contract.reads_source and source.s3:
        return source.s3
    if contract.reads_weights:
        # All of a stack have the same server and Secret: a rule of the API.
        places = (one.encoder.weights.s3 for one in recipe.features.embeddings)
        return next((place for place in places if place), None)
    return stack.artifacts_s3


def _weights_claims(recipe: Recipe, step: Step) -> list[str]:
    """Claims with checkpoints, each once."""
    if not CONTRACTS[step].reads_weights:
        return []
    volumes = (one.encoder.weights.volume for one in recipe.features.embeddings)
    return list(dict.fromkeys(volume.claim_name for volume in volumes if volume))


def _weights_volume(number: int) -> str:
    return f"weights-{number}"


def _data_claim(source: Source, step: Step) -> str | None:
    """Claim with what the step reads: the tables, or the catalog of those that are made."""
    if source.volume is not None:
        return source.volume.claim_name
    if source.synthetic is not None and source.synthetic.catalog is not None and CONTRACTS[step].reads_source:
        return source.synthetic.catalog.claim_name
    return None
