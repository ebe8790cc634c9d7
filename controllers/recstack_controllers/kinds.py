"""The kinds that recstack reads or writes."""

from recstack_crds.v1alpha1.base import API_VERSION

from recstack_controllers.kit.cluster import Kind

RECOMMENDER_STACK = Kind(API_VERSION, "RecommenderStack", "recommenderstacks")
MODEL_VERSION = Kind(API_VERSION, "ModelVersion", "modelversions")

NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
SECRET = Kind("v1", "Secret", "secrets")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
JOB = Kind("batch/v1", "Job", "jobs")
CRON_JOB = Kind("batch/v1", "CronJob", "cronjobs")
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")

CHILDREN = (
    SERVICE, SECRET, CONFIG_MAP, SERVICE_ACCOUNT, CLAIM, DEPLOYMENT, STATEFUL_SET, JOB, CRON_JOB, ROLE,
    ROLE_BINDING, DISRUPTION_BUDGET, NETWORK_POLICY, AUTOSCALER,
)  # fmt: skip
"""Kinds of objects that recstack makes; a change of one concerns the stack named by its label."""
