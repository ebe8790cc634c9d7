"""Version ``recstack.dev/v1alpha1`` of the API."""

from recstack_crds.v1alpha1.modelversion import ModelVersionSpec, ModelVersionStatus
from recstack_crds.v1alpha1.recommenderstack import RecommenderStackSpec, RecommenderStackStatus

__all__ = [
    "ModelVersionSpec",
    "ModelVersionStatus",
    "RecommenderStackSpec",
    "RecommenderStackStatus",
]
