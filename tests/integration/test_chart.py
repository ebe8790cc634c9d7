"""The chart as helm renders it, each object judged by a real API server."""

from pathlib import Path

import pytest
import yaml
from chart import of, render
from kube import Kube


@pytest.mark.parametrize(
    "values", [(), ("watchNamespaces={shop,films}",), ("replicas=1",), ("metrics.dashboard=true",)]
)
def test_the_server_accepts_every_object(
    kube: Kube, space: str, tmp_path: Path, values: tuple[str, ...]
) -> None:
    objects = render(tmp_path, space, *values)
    for one in objects:
        if (named := one["metadata"].get("namespace")) in {"shop", "films"}:
            kube.try_kubectl("create", "namespace", str(named))
    text = yaml.safe_dump_all(objects)
    done = kube.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    assert done.count("serverside-applied") == len(objects)


def test_all_namespaces_take_a_cluster_role(space: str, tmp_path: Path) -> None:
    objects = render(tmp_path, space)
    assert len(of(objects, "ClusterRole")) == len(of(objects, "ClusterRoleBinding")) == 1
    assert [one["metadata"]["name"] for one in of(objects, "Role")] == ["recstack-operator-leader"]


def test_named_namespaces_take_roles_and_nothing_of_the_cluster(space: str, tmp_path: Path) -> None:
    everywhere = render(tmp_path, space)
    objects = render(tmp_path, space, "watchNamespaces={shop,films}")
    assert of(objects, "ClusterRole") == of(objects, "ClusterRoleBinding") == []
    roles = {one["metadata"]["namespace"]: one for one in of(objects, "Role")}
    assert set(roles) == {space, "shop", "films"}
    (whole,) = of(everywhere, "ClusterRole")
    assert roles["shop"]["rules"] == roles["films"]["rules"] == whole["rules"]
    (deployment,) = of(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["RECSTACK_WATCH_NAMESPACES"] == "shop,films"


def test_no_right_is_a_wildcard_and_secrets_cannot_be_listed(space: str, tmp_path: Path) -> None:
    objects = render(tmp_path, space)
    rules = [rule for kind in ("ClusterRole", "Role") for one in of(objects, kind) for rule in one["rules"]]
    for rule in rules:
        assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        if "secrets" in rule["resources"]:
            assert not {"list", "watch"} & set(rule["verbs"])


def test_the_operator_runs_restricted(kube: Kube, space: str, tmp_path: Path) -> None:
    """Pod Security Admission itself judges the pod template."""
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    kube.send("PATCH", f"/api/v1/namespaces/{space}", label, "application/merge-patch+json")
    (deployment,) = of(render(tmp_path, space), "Deployment")
    template = deployment["spec"]["template"]
    kube.send(
        "POST",
        f"/api/v1/namespaces/{space}/serviceaccounts",
        {"metadata": {"name": template["spec"]["serviceAccountName"]}},
    )
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": template["spec"]}
    kube.send("POST", f"/api/v1/namespaces/{space}/pods?dryRun=All", pod)


def test_a_single_replica_needs_no_disruption_budget(space: str, tmp_path: Path) -> None:
    assert len(of(render(tmp_path, space), "PodDisruptionBudget")) == 1
    assert of(render(tmp_path, space, "replicas=1"), "PodDisruptionBudget") == []


def test_crds_survive_an_uninstall(space: str, tmp_path: Path) -> None:
    crds = of(render(tmp_path, space), "CustomResourceDefinition")
    assert len(crds) == 2
    for crd in crds:
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
