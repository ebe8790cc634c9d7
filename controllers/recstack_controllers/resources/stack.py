"""What a builder knows of the stack and of a version."""

from dataclasses import dataclass
from functools import cached_property

from recstack_crds.v1alpha1.base import API_VERSION
from recstack_crds.v1alpha1.data import S3Location
from recstack_crds.v1alpha1.models import Training
from recstack_crds.v1alpha1.modelversion import ModelVersionSpec, Recipe
from recstack_crds.v1alpha1.platform import DeletionPolicy
from recstack_crds.v1alpha1.recommenderstack import RecommenderStackSpec

from recstack_controllers.kit import decode, names
from recstack_controllers.kit.apply import owner_reference
from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.settings import Settings

ARTIFACTS_PATH = "/artifacts"


@dataclass(frozen=True)
class Stack:
    """A RecommenderStack with its defaults resolved."""

    namespace: str
    name: str
    uid: str
    spec: RecommenderStackSpec
    settings: Settings

    @cached_property
    def recipe(self) -> Recipe:
        """What spec asks to be trained; not when."""
        spec = self.spec
        return Recipe(
            data=spec.data,
            features=spec.features,
            models=spec.models,
            training=Training.model_validate(spec.training.model_dump(include=set(Training.model_fields))),
            evaluation=spec.evaluation,
        )

    @cached_property
    def recipe_named(self) -> Manifest:
        """The part of the recipe that is in a version's name; asked for many times in a pass.

        Defaults are left out: a later release that adds a field must not train all anew. How a fine-tune is
        fitted is no part of what a version from nothing is.
        """
        value = self.recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        value.get("training", {}).pop("fineTune", None)
        if not value.get("training", True):
            del value["training"]
        return value

    @property
    def owner(self) -> Manifest:
        """Owner reference for children that go with the stack."""
        return _owner("RecommenderStack", self.name, self.uid)

    @property
    def artifacts_s3(self) -> S3Location | None:
        """Where packages are when they are in S3."""
        return self.spec.stores.artifacts.s3

    @property
    def artifacts_claim(self) -> str | None:
        """Claim with the packages; None when they are in S3."""
        artifacts = self.spec.stores.artifacts
        if artifacts.s3 is not None:
            return None
        given = artifacts.volume.claim_name if artifacts.volume else None
        return given or names.artifacts(self.name)

    @property
    def artifacts_uri(self) -> str:
        """``file:///artifacts`` or ``s3://bucket[/prefix]``."""
        s3 = self.artifacts_s3
        if s3 is None:
            return f"file://{ARTIFACTS_PATH}"
        return f"s3://{s3.bucket}/{s3.prefix}".rstrip("/")

    def metadata(self, name: str, component: str, *, keep: bool = False) -> Manifest:
        """Metadata of a child.

        ``keep``: the child holds data; with deletionPolicy Retain it has no owner and so outlives the
        stack, which needs no finalizer.
        """
        result: Manifest = {
            "name": name,
            "namespace": self.namespace,
            "labels": names.labels(self.name, component),
        }
        if not (keep and self.spec.deletion_policy is DeletionPolicy.RETAIN):
            result["ownerReferences"] = [self.owner]
        return result


@dataclass(frozen=True)
class Version:
    """A ModelVersion with its defaults resolved."""

    name: str
    uid: str
    spec: ModelVersionSpec

    def metadata(self, stack: Stack, name: str, component: str) -> Manifest:
        """Metadata of a child of the version."""
        return {
            "name": name,
            "namespace": stack.namespace,
            "labels": names.labels(stack.name, component) | {names.VERSION: self.name},
            "ownerReferences": [_owner("ModelVersion", self.name, self.uid)],
        }


def read_stack(manifest: Manifest, settings: Settings) -> Stack:
    """A stored RecommenderStack.

    Raises:
        Stalled: its spec does not validate.
    """
    metadata = manifest["metadata"]
    spec = decode.spec(RecommenderStackSpec, manifest)
    return Stack(metadata["namespace"], metadata["name"], metadata["uid"], spec, settings)


def read_version(manifest: Manifest) -> Version:
    """A stored ModelVersion.

    Raises:
        Stalled: its spec does not validate.
    """
    metadata = manifest["metadata"]
    return Version(metadata["name"], metadata["uid"], decode.spec(ModelVersionSpec, manifest))


def _owner(kind: str, name: str, uid: str) -> Manifest:
    return owner_reference({"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "uid": uid}})
