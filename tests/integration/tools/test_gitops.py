"""The CI script and the Argo CD patch, on a real API server."""

import json
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml
from recstack_lab.binaries import binary

from .conftest import ROOT, Space, Thing, condition

SCRIPT = ROOT / "samples" / "ci" / "apply-and-wait.sh"
STACK: Thing = {
    "apiVersion": "recstack.dev/v1alpha1",
    "kind": "RecommenderStack",
    "metadata": {"name": "shop"},
    "spec": {},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(STACK))
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    return tmp_path


def wait(space: Space, source: Path, seconds: int = 20) -> subprocess.CompletedProcess[str]:
    limits = ("env", f"TIMEOUT={seconds}", "INTERVAL=1")
    return space.run(*limits, str(SCRIPT), str(source), "-n", space.name)


def test_waits_until_ready(space: Space, folder: Path) -> None:
    def operator() -> None:
        while space.run("kubectl", "-n", space.name, "get", "rstack", "shop").returncode:
            time.sleep(0.2)
        space.status(
            "rstack", "shop", {"conditions": [condition("Ready", "False", "Training", "Step a runs.")]}
        )
        time.sleep(3)
        space.status("rstack", "shop", {"conditions": [condition("Ready", "True", "Ready", "As spec says.")]})

    thread = threading.Thread(target=operator)
    thread.start()
    done = wait(space, folder)
    thread.join()
    assert done.returncode == 0, done.stderr
    assert "Waits RecommenderStack/shop Training: Step a runs." in done.stdout
    assert done.stdout.endswith("Ready RecommenderStack/shop Ready: As spec says.\n")


def test_fails_with_the_reason_of_stalled(space: Space, folder: Path) -> None:
    space.apply(STACK)
    conditions = [
        condition("Ready", "False", "BadData", "x"),
        condition("Stalled", "True", "BadData", "age is missing"),
    ]
    space.status("rstack", "shop", {"conditions": conditions})
    done = wait(space, folder)
    assert done.returncode == 3
    assert done.stderr == "Stalled RecommenderStack/shop BadData: age is missing\n"


def test_conditions_of_an_older_generation_do_not_count(space: Space, folder: Path) -> None:
    space.apply(STACK)
    space.status("rstack", "shop", {"conditions": [condition("Ready", "True")]})
    changed = STACK | {"spec": {"serving": {"replicas": 2}}}
    (folder / "stack.yaml").write_text(yaml.safe_dump(changed))
    done = wait(space, folder, seconds=2)
    assert done.returncode == 4
    assert "Waits RecommenderStack/shop not seen by the operator yet" in done.stderr


def test_what_the_api_server_refuses_fails_at_once(space: Space, folder: Path) -> None:
    (folder / "stack.yaml").write_text(yaml.safe_dump(STACK | {"spec": {"serving": {"replicas": -1}}}))
    done = wait(space, folder)
    assert done.returncode == 1
    assert "spec.serving.replicas" in done.stderr


def test_nothing_of_recstack_is_a_mistake(space: Space, folder: Path) -> None:
    assert wait(space, folder / "other.yaml").returncode == 2
    assert "Exit status" in space.run(str(SCRIPT)).stderr


def test_the_health_checks_join_what_stands_in_argocd_cm(space: Space) -> None:
    kubectl = str(binary("kubectl"))
    rendered = subprocess.run(
        [kubectl, "kustomize", str(ROOT / "gitops" / "argocd")], capture_output=True, text=True, check=True
    )
    patch = yaml.safe_load(rendered.stdout)
    assert (patch["metadata"]["name"], patch["metadata"]["namespace"]) == ("argocd-cm", "argocd")
    space.run(kubectl, "create", "namespace", "argocd")
    yours = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm"},
        "data": {"url": "https://cd"},
    }
    made = space.run(kubectl, "-n", "argocd", "apply", "-f", "-", stdin=json.dumps(yours))
    assert made.returncode == 0, made.stderr
    merge = ("-n", "argocd", "patch", "configmap", "argocd-cm", "--type=merge", "--patch-file=/dev/stdin")
    done = space.run(kubectl, *merge, stdin=rendered.stdout)
    assert done.returncode == 0, done.stderr
    found = space.run(kubectl, "-n", "argocd", "get", "cm", "argocd-cm", "-o", "json")
    data = json.loads(found.stdout)["data"]
    prefix = "resource.customizations.health.recstack.dev_"
    assert data == {
        "url": "https://cd",
        **{
            prefix + kind: (ROOT / "gitops" / "argocd" / f"{kind.lower()}.lua").read_text()
            for kind in ("RecommenderStack", "ModelVersion")
        },
    }
