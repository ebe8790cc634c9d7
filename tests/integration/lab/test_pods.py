"""What pods can rely on in the lab: names, volumes, limits, devices, and the ways in. Needs root and 60 s."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from recstack_lab import images, lifecycle, loading
from recstack_lab.cluster import Cluster
from recstack_lab.config import LabError

NAME = "pods"
SPACE = "checks"
CLI = [sys.executable, "-m", "recstack_lab.cli"]
IMAGE = "localhost/recstack/valkey:dev"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and mounts need root")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        subprocess.run([*CLI, "up", "--name", NAME, "--owner", str(os.getpid())], check=True)
        subprocess.run([*CLI, "build-images", "--name", NAME, "--load", "--only", "valkey"], check=True)
        found = Cluster(lifecycle.required(NAME)[0])
        found.kubectl("create", "namespace", SPACE)
        yield found
    finally:
        subprocess.run([*CLI, "down", "--name", NAME], check=True)


def pod(name: str, script: str, **more: Any) -> dict[str, Any]:
    """A pod that runs a shell script; `more` is of its container, but `volumes` of the pod."""
    volumes = more.pop("volumes", [])
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        **more,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SPACE, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": volumes,
        },
    }


def apply(cluster: Cluster, *things: dict[str, Any]) -> None:
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(things)}))


def state(cluster: Cluster, name: str) -> dict[str, Any]:
    found = cluster.get("pod", name, f"--namespace={SPACE}") or {"status": {}}
    return dict(found["status"])


def eventually(check: Callable[[], object], seconds: float = 40) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, check
        time.sleep(0.2)
    return found


def ended(cluster: Cluster, name: str) -> dict[str, Any]:
    """Exit code and reason of a pod's container, once it has ended."""

    def look() -> Any:
        statuses = state(cluster, name).get("containerStatuses", [])
        return statuses and statuses[0]["state"].get("terminated")

    return dict(eventually(look))


def output(cluster: Cluster, name: str) -> str:
    return cluster.kubectl("logs", f"--namespace={SPACE}", name)


def server(cluster: Cluster) -> None:
    """A Valkey with a Service, ready."""
    container = {"command": ["valkey-server", "--bind", "* -::*", "--protected-mode", "no"]}
    thing = pod("server", "", **container)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server", "namespace": SPACE},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 6379}]},
    }
    apply(cluster, thing, service)
    cluster.kubectl(
        "wait", f"--namespace={SPACE}", "--for=condition=Ready", "pod/server", "--timeout=40s", timeout=60
    )


def test_a_pod_finds_a_service_by_name_and_nothing_outside(cluster: Cluster) -> None:
    server(cluster)
    script = (
        f"set -e; for name in server server.{SPACE} server.{SPACE}.svc server.{SPACE}.svc.cluster.local; do "
        "getent hosts $name > /dev/null; until valkey-cli -h $name -p 80 ping; do sleep .2; done; done; "
        "! getent hosts example.com; hostname"
    )
    apply(cluster, pod("client", script))
    assert ended(cluster, "client")["exitCode"] == 0, output(cluster, "client")
    assert output(cluster, "client").split()[-1] == "client"
    assert output(cluster, "client").count("PONG") == 4


def test_exec_and_port_forward_lead_into_a_pod(cluster: Cluster) -> None:
    server(cluster)
    assert (
        cluster.kubectl("exec", f"--namespace={SPACE}", "server", "--", "valkey-cli", "ping").strip()
        == "PONG"
    )
    lab, _ = lifecycle.required(NAME)
    kubectl = subprocess.check_output([*CLI, "tool", "kubectl"], text=True).strip()
    with subprocess.Popen(
        [
            kubectl,
            f"--kubeconfig={lab.kubeconfig}",
            f"--namespace={SPACE}",
            "port-forward",
            "svc/server",
            ":80",
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as forward:
        try:
            assert forward.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", forward.stdout.readline())
            assert found
            # Valkey cuts off whoever speaks HTTP to it: that it does so proves that the way leads there.
            with pytest.raises(OSError, match=r"closed connection|reset by peer"):
                urllib.request.urlopen(f"http://127.0.0.1:{found[1]}", timeout=10)
        finally:
            forward.terminate()


def test_a_claim_keeps_what_one_pod_wrote_for_the_next(cluster: Cluster) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept", "namespace": SPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    place: dict[str, Any] = {
        "volumes": [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}],
        "volumeMounts": [{"name": "kept", "mountPath": "/kept"}],
    }
    apply(cluster, claim, pod("writer", "echo written > /kept/file", **place))
    assert ended(cluster, "writer")["exitCode"] == 0
    apply(cluster, pod("reader", "cat /kept/file", **place))
    assert ended(cluster, "reader")["exitCode"] == 0
    assert output(cluster, "reader") == "written\n"
    volume = cluster.get("pvc", "kept", f"--namespace={SPACE}")
    assert volume is not None
    directory = lifecycle.required(NAME)[0].directory / "volumes" / volume["spec"]["volumeName"]
    assert (directory / "file").read_text() == "written\n"
    cluster.kubectl("delete", f"--namespace={SPACE}", "pod/writer", "pod/reader", "pvc/kept")
    eventually(lambda: not directory.exists())


def test_more_memory_than_the_limit_is_an_oom_kill(cluster: Cluster) -> None:
    apply(cluster, pod("greedy", "tail /dev/zero; exit $?", resources={"limits": {"memory": "64Mi"}}))
    end = ended(cluster, "greedy")
    assert (end["exitCode"], end["reason"]) == (137, "OOMKilled")


def test_a_simulated_gpu_is_given_and_too_many_are_not(cluster: Cluster) -> None:
    def wants(count: str) -> dict[str, Any]:
        return {"limits": {"nvidia.com/gpu": count}}

    apply(
        cluster,
        pod("gpu", "echo $RECSTACK_SIMULATED_GPUS", resources=wants("1")),
        pod("gpus", "true", resources=wants("3")),
    )
    assert ended(cluster, "gpu")["exitCode"] == 0
    assert re.fullmatch(r"simulated-gpu-\d\n", output(cluster, "gpu"))

    def refused() -> bool:
        conditions = state(cluster, "gpus").get("conditions", [])
        return any("Insufficient nvidia.com/gpu" in each.get("message", "") for each in conditions)

    eventually(refused)


def test_a_deployment_replaces_a_pod_that_is_killed_or_evicted(cluster: Cluster) -> None:
    template = pod("kept-up", "sleep 600")
    template["spec"]["restartPolicy"] = "Always"
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kept-up", "namespace": SPACE},
        "spec": {
            "selector": {"matchLabels": {"app": "kept-up"}},
            "template": {"metadata": {"labels": {"app": "kept-up"}}, "spec": template["spec"]},
        },
    }
    apply(cluster, deployment)
    cluster.wait_for_deployment(SPACE, "kept-up", 40)

    def running() -> dict[str, Any]:
        listed = cluster.get("pods", "--selector=app=kept-up", f"--namespace={SPACE}") or {"items": []}
        items = [item for item in listed["items"] if "deletionTimestamp" not in item["metadata"]]
        return dict(items[0]) if items and items[0]["status"].get("containerStatuses") else {}

    first = running()["metadata"]["name"]
    cluster.kubectl("exec", f"--namespace={SPACE}", first, "--", "sh", "-c", "kill -9 -1; kill 1")
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": first, "namespace": SPACE},
    }
    path = f"/api/v1/namespaces/{SPACE}/pods/{first}/eviction"
    cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    second = eventually(lambda: (found := running()) and found["metadata"]["name"] != first and found)
    assert second["spec"]["nodeName"] == "recstack-pods"
    cluster.wait_for_deployment(SPACE, "kept-up", 40)


def test_network_policies_are_accepted(cluster: Cluster) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "nobody", "namespace": SPACE},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    apply(cluster, policy)
    assert cluster.get("networkpolicy", "nobody", f"--namespace={SPACE}") is not None


def test_s3_keeps_its_keys_and_its_buckets(cluster: Cluster) -> None:
    first = lifecycle.install_s3(NAME, ["one"])
    second = lifecycle.install_s3(NAME, ["two"])
    assert first.buckets == ("one",)
    assert second.buckets == ("one", "two")
    assert first.secret_key == second.secret_key
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{first.endpoint_here}/one", timeout=10)


def test_an_image_is_sent_once_and_no_file_is_no_image(
    cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    node = loading.Node(lifecycle.required(NAME)[1])
    images.build(node.load, ["valkey"])
    assert "loading" not in capfd.readouterr().err
    with pytest.raises(LabError, match="there is no file"):
        node.load_archive(lifecycle.programs() / "absent.tar")
