"""A cluster with the chart in it, told as a story: each step is printed, with the seconds since the start."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from recstack_demo.cluster import Cluster, CommandFailed
from recstack_demo.progress import Line, changes, condition, lines

from benchmarks.swap import loading

OPERATOR = "recstack-system"
ROOT = Path(__file__).resolve().parents[2]
Thing = dict[str, Any]
SMALL: Thing = {
    "data": {
        "source": {"synthetic": {"users": 300, "items": 200, "interactions": 12_000, "days": 6}},
        "window": {"trainDays": 4, "evaluationDays": 2},
    },
    "models": {"retrieval": {"batchSize": 256, "epochs": 1}, "ranking": {"batchSize": 1024, "epochs": 1}},
    "evaluation": {"gates": [{"metric": "auc", "min": 0.5}]},
    "serving": {"candidates": 50, "topK": 20, "cpu": "100m"},
    "training": {"cpu": "400m"},
}
"""A spec that is trained in half a minute, and leaves room on a node of two cores."""


@dataclass
class Story:
    """One namespace of a cluster, and the printed account of what was done in it."""

    cluster: Cluster
    namespace: str
    began: float = field(default_factory=time.monotonic)
    told: list[Line] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", file=sys.stderr, flush=True)

    def kube(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kube("-n", self.namespace, *arguments, stdin=stdin)

    def get(self, *arguments: str) -> Any:
        """Run ``kubectl get`` in the namespace, decoded; None when it is not there."""
        return self.cluster.get("-n", self.namespace, *arguments)

    def apply(self, manifest: Thing) -> None:
        """Run ``kubectl apply``, as a person would."""
        self.tell(f"apply {manifest['kind']} {manifest['metadata']['name']}")
        self.kube("apply", "-f", "-", stdin=yaml.safe_dump(manifest))

    def stack(self, name: str, spec: Thing) -> None:
        """Apply a RecommenderStack."""
        self.apply(
            {
                "apiVersion": "recstack.dev/v1alpha1",
                "kind": "RecommenderStack",
                "metadata": {"name": name},
                "spec": spec,
            }
        )

    def patch(self, stack: str, spec: Thing) -> None:
        """Merge into a RecommenderStack's spec."""
        self.tell(f"patch {compact(spec)}")
        self.kube("patch", "rstack", stack, "--type=merge", "-p", json.dumps({"spec": spec}))

    def versions(self, stack: str) -> list[Thing]:
        """ModelVersions of a stack, oldest first."""
        items: list[Thing] = (self.get("mver") or {"items": []})["items"]
        mine = [item for item in items if item["spec"]["stack"] == stack]
        return sorted(mine, key=lambda item: str(item["metadata"]["creationTimestamp"]))

    def live(self, stack: str) -> str:
        """The version that answers; empty while none does."""
        return str((self.get("rstack", stack).get("status") or {}).get("liveVersion") or "")

    def until(
        self, what: str, check: Callable[[], Any], seconds: float, give_up: Callable[[], str] = lambda: ""
    ) -> Any:
        """Wait until ``check`` gives something true; prints every change of a condition meanwhile."""
        self.tell(f"wait: {what}")
        deadline = time.monotonic() + seconds
        while True:
            if found := check():
                self.tell(f"  so it is: {what}")
                return found
            after = self._lines()
            for line in changes(self.told, after):
                self.tell(f"  {line.name}  {line.state}  {line.message}")
            self.told = after
            if why := give_up():
                raise AssertionError(f"{what}: {why}")
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s\n{self.account()}"
            time.sleep(0.5)

    def _lines(self) -> list[Line]:
        things: list[Thing] = []
        for kind in ("rstack", "mver"):
            things += (self.get(kind) or {"items": []})["items"]
        return lines(things)

    def account(self) -> str:
        """Everything that helps to see why a wait has failed."""
        parts = [self.kube("get", "rstack,mver,pods,jobs,pvc", "-o", "wide")]
        parts.append(self.kube("get", "events", "--sort-by=.lastTimestamp")[-6000:])
        try:
            parts.append(
                self.cluster.kube(
                    "-n", OPERATOR, "logs", "-l", "app.kubernetes.io/name=recstack-operator", "--tail=60"
                )
            )
        except CommandFailed as error:
            parts.append(str(error))
        return "\n".join(parts)

    def is_true(self, kind: str, name: str, type: str) -> bool:
        """Whether a condition is True for the present generation."""
        found = condition(self.get(kind, name), type)
        return found is not None and found["status"] == "True"

    def condition(self, kind: str, name: str, type: str) -> Thing:
        """A condition; empty when it is not there, or speaks of an older generation."""
        return dict(condition(self.get(kind, name), type) or {})

    def ready(self, stack: str, seconds: float = 600) -> None:
        """Wait until the stack is Ready; a stall ends the wait at once."""

        def stalled() -> str:
            for kind, name in [
                ("rstack", stack),
                *(("mver", v["metadata"]["name"]) for v in self.versions(stack)),
            ]:
                found = self.condition(kind, name, "Stalled")
                if found.get("status") == "True":
                    return f"{kind} {name} is stalled: {found['message']}\n{self.account()}"
            return ""

        self.until(
            f"stack {stack} is Ready", lambda: self.is_true("rstack", stack, "Ready"), seconds, stalled
        )

    @contextmanager
    def gateway(self, stack: str) -> Iterator[httpx.Client]:
        """A client of the stack's gateway."""
        with (
            self.cluster.forward(self.namespace, f"svc/{stack}", 8080) as url,
            httpx.Client(base_url=url, timeout=10) as client,
        ):
            yield client

    @contextmanager
    def load(self, stack: str, rate: float) -> Iterator[Callable[[], Thing]]:
        """Open-loop load from inside the cluster; the function ends it and gives what was seen."""
        with loading.load(self.cluster, self.namespace, stack, rate, self.until) as end:
            yield end

    def gone(self, stack: str, seconds: float = 120) -> None:
        """Delete the stack and wait until nothing that carries its label is left."""
        self.tell(f"delete stack {stack}")
        self.kube("delete", "rstack", stack, "--wait=false")
        kinds = "mver,deploy,sts,svc,secret,cm,sa,role,rolebinding,pdb,netpol,hpa,pvc,job,pod"

        def left() -> list[str]:
            found = self.get(f"rstack,{kinds}", "-l", f"recstack.dev/stack={stack}")
            names = [f"{item['kind']}/{item['metadata']['name']}" for item in found["items"]]
            return names + ([f"rstack/{stack}"] if self.get("rstack", stack) else [])

        self.until(f"nothing is left of {stack}", lambda: not left(), seconds)


def recommend(client: httpx.Client, user: int | None, k: int = 10, **context: Any) -> Thing:
    """One recommendation."""
    answer = client.post("/v1/recommend", json={"user_id": user, "k": k, "context": context})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ids(reply: Thing) -> list[int]:
    """The recommended ids, best first."""
    return [int(item["id"]) for item in reply["items"]]


def manifest(path: str) -> Thing:
    """A file of the repository, decoded."""
    return dict(yaml.safe_load((ROOT / path).read_text()))


def compact(value: Any) -> str:
    """JSON on one line, for the account."""
    return json.dumps(value, separators=(",", ":"))
