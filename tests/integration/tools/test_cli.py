"""`kubectl recstack` on a real API server, found by kubectl as a plugin."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from recstack_cli import recommend
from recstack_cli.errors import CliError

from .conftest import Space, Thing, condition

SEED = {"training": {"seed": 7}}


@pytest.fixture(autouse=True)
def _python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSTACK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))


def stack(spec: Thing | None = None, name: str = "retail") -> Thing:
    return {
        "apiVersion": "recstack.dev/v1alpha1",
        "kind": "RecommenderStack",
        "metadata": {"name": name},
        "spec": spec or {},
    }


def version(name: str, promote: str = "Auto", recipe: Thing | None = None) -> Thing:
    return {
        "apiVersion": "recstack.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": name},
        "spec": {"stack": "retail", "promote": promote, "recipe": recipe or {}},
    }


def recstack(space: Space, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return space.run("kubectl", "recstack", "-n", space.name, *arguments, stdin=stdin)


def said(space: Space, *arguments: str, stdin: str | None = None) -> str:
    done = recstack(space, *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_status(space: Space) -> None:
    space.apply(stack())
    space.apply(version("retail-a"))
    space.status(
        "rstack",
        "retail",
        {
            "observedGeneration": 1,
            "phase": "Training",
            "replicas": 1,
            "conditions": [condition("Ready", "False", "Training", "Step ingest is running.")],
        },
    )
    step = {"name": "ingest", "state": "Running", "job": "retail-a-ingest"}
    space.status("mver", "retail-a", {"phase": "Ingesting", "steps": [step]})
    text = said(space, "status", "retail")
    assert text.splitlines()[0] == f"RecommenderStack {space.name}/retail: Training"
    assert "    Ready=False  Training: Step ingest is running." in text
    assert "    retail-a  Ingesting\n      ingest  Running\n" in text
    data = json.loads(said(space, "status", "retail", "-o", "json"))
    assert [one["name"] for one in data["versions"]] == ["retail-a"]
    assert [one["name"] for one in json.loads(said(space, "status", "-o", "json"))] == ["retail"]


def test_what_is_not_there_is_said_with_what_is(space: Space) -> None:
    none = recstack(space, "status")
    assert (none.returncode, none.stdout) == (3, "")
    space.apply(stack())
    done = recstack(space, "status", "retale")
    assert done.returncode == 3
    assert (
        done.stderr == f"There is no RecommenderStack retale in namespace {space.name}. There are: retail.\n"
    )


def test_flags_of_kubectl_are_understood_on_both_sides(space: Space) -> None:
    space.apply(stack())
    after = space.run("kubectl", "recstack", "status", "retail", "-n", space.name)
    assert after.returncode == 0
    assert after.stdout == said(space, "status", "retail")
    wrong = recstack(space, "status", "--context", "elsewhere")
    assert wrong.returncode == 1
    assert "elsewhere" in wrong.stderr
    assert recstack(space, "dance").returncode == 2


def test_versions_and_diff(space: Space) -> None:
    space.apply(stack())
    space.apply(version("retail-a"))
    space.apply(version("retail-b", recipe=SEED))
    space.status("mver", "retail-a", {"phase": "Live", "metrics": {"auc": 0.8}})
    space.status("mver", "retail-b", {"phase": "Packaged", "metrics": {"auc": 0.9}})
    head, *rows = said(space, "versions", "retail").splitlines()
    assert head.split() == ["NAME", "CREATED", "KIND", "PARENT", "DAYS", "STATE", "AUC", "MESSAGE"]
    assert [(row.split()[0], *row.split()[5:]) for row in rows] == [
        ("retail-a", "Live", "0.8"),
        ("retail-b", "Packaged", "0.9"),
    ]
    found = json.loads(said(space, "diff", "retail-a", "retail-b", "-o", "json"))
    assert found["recipe"] == [{"path": "training.seed", "before": 42, "after": 7}]
    assert found["metrics"] == {"auc": [0.8, 0.9]}


def test_plan(space: Space, tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(stack()))
    assert "is made:" in said(space, "plan", "-f", str(file))
    assert space.kubectl("get", "rstack", "-o", "name") == "", "a plan must not apply"
    space.apply(stack())
    assert "nothing changes" in said(space, "plan", "-f", str(file))
    changed = yaml.safe_dump(stack(SEED | {"serving": {"replicas": 3}}))
    (found,) = json.loads(said(space, "plan", "-f", "-", "-o", "json", stdin=changed))
    assert found["action"] == "change"
    assert {one["path"]: [each["effect"] for each in one["consequences"]] for one in found["fields"]} == {
        "spec.training.seed": ["retrain"],
        "spec.serving.replicas": ["scale"],
    }
    text = said(space, "plan", "-f", "-", "--server-side", stdin=changed)
    assert text.endswith("All in all: retrain, scale.\n")


def test_plan_says_what_the_api_server_would_refuse(space: Space) -> None:
    done = recstack(space, "plan", "-f", "-", stdin=yaml.safe_dump(stack({"serving": {"replicas": -1}})))
    assert done.returncode == 1
    assert "spec.serving.replicas" in done.stderr
    assert recstack(space, "plan", "-f", "-", stdin="kind: Pod").returncode == 2
    assert recstack(space, "plan", "-f", "/nowhere").returncode == 2


def test_promote(space: Space) -> None:
    space.apply(version("retail-a", "Manual"))
    assert "may serve" in said(space, "promote", "retail-a")
    annotations = json.loads(space.kubectl("get", "mver", "retail-a", "-o", "json"))["metadata"][
        "annotations"
    ]
    assert annotations["recstack.dev/promote"] == "true"
    space.apply(version("retail-b"))
    assert "needs it not" in said(space, "promote", "retail-b")
    space.apply(version("retail-c", "Manual"))
    space.status(
        "mver", "retail-c", {"conditions": [condition("Stalled", "True", "GateMissed", "auc is low")]}
    )
    refused = recstack(space, "promote", "retail-c")
    assert (refused.returncode, refused.stderr) == (1, "retail-c cannot serve: GateMissed: auc is low\n")


def test_logs_of_a_step_that_has_not_begun(space: Space) -> None:
    space.apply(version("retail-a"))
    done = recstack(space, "logs", "retail-a", "evaluate")
    assert (done.returncode, done.stderr) == (3, "Step evaluate of retail-a has not begun. Begun: none.\n")
    step = {"name": "ingest", "state": "Running", "job": "retail-a-ingest"}
    space.status("mver", "retail-a", {"steps": [step]})
    gone = recstack(space, "logs", "retail-a")
    assert gone.returncode == 1
    assert "retail-a-ingest" in gone.stderr


def test_recommend_without_a_pod_says_why(space: Space) -> None:
    space.apply(stack())
    done = recstack(space, "recommend", "retail", "--user", "17")
    assert done.returncode == 1
    assert "No way to service/retail" in done.stderr
    assert recstack(space, "recommend", "retail", "--set", "x").returncode == 2


class Gateway(BaseHTTPRequestHandler):
    """Answers as the gateway does: the request back, or a problem."""

    def do_POST(self) -> None:
        body: Any = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        good = self.path == "/v1/recommend" and body["k"] > 0
        reply = (
            {"version": "retail-a", "items": [], "asked": body}
            if good
            else {"detail": "k: must be 1 or more"}
        )
        self.send_response(200 if good else 422)
        self.end_headers()
        self.wfile.write(json.dumps(reply).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_recommendation_is_asked_for_as_the_gateway_expects(gateway: str) -> None:
    reply = recommend.ask(gateway, None, 3, {"device_type": 0})
    assert reply["asked"] == {"user_id": None, "k": 3, "context": {"device_type": 0}}
    with pytest.raises(CliError, match="answered 422: k: must be 1 or more"):
        recommend.ask(gateway, 17, 0, {})
