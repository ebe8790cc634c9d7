"""The cluster of the benchmark: a stack with two versions, pods, the load beside them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import yaml
from recstack_demo.cluster import Cluster, CommandFailed
from recstack_demo.main import OPERATOR_NAMESPACE

from benchmarks.swap import loading

NAMESPACE, STACK = "bench-swap", "shop"
POLL_SECONDS = 0.2
OURS = f"/apis/recstack.dev/v1alpha1/namespaces/{NAMESPACE}/recommenderstacks/{STACK}"
PLAN = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{STACK}-plan"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SERVING = f"recstack.dev/stack={STACK},app.kubernetes.io/component=serving"
Thing = dict[str, Any]
SPEC: Thing = {
    "data": {
        "source": {"synthetic": {"users": 1000, "items": 2465, "interactions": 40_000, "days": 6}},
        "window": {"trainDays": 4, "evaluationDays": 2},
    },
    "models": {"retrieval": {"batchSize": 512, "epochs": 2}, "ranking": {"batchSize": 4096, "epochs": 1}},
    # Nothing is kept loaded: each swap pulls, loads, proves, flips, drains and unloads.
    "rollout": {"keepLoaded": 0, "historyLimit": 10},
}


class BenchFailed(RuntimeError):
    """The cluster did not come to where the benchmark needs it; the message says what was missing."""


@dataclass
class Bench:
    """The benchmark's namespace.

    ``api``: of the API server. A swap is asked for and waited for there: a kubectl for each look would take
    as much CPU as a load, beside the pods that are measured, and only in swaps.
    """

    cluster: Cluster
    api: httpx.Client
    say: Callable[[str], None]

    def kube(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kube("-n", NAMESPACE, *arguments, stdin=stdin)

    def read(self, path: str, **query: str) -> Thing:
        """GET of the API server, decoded; empty when the object is not there."""
        answer = self.api.get(path, params=query)
        return {} if answer.status_code == 404 else dict(answer.raise_for_status().json())

    def stack(self, **spec: Any) -> None:
        """Apply the stack, with ``spec`` in place of its own parts."""
        self.kube(
            "apply",
            "-f",
            "-",
            stdin=yaml.safe_dump(
                {
                    "apiVersion": "recstack.dev/v1alpha1",
                    "kind": "RecommenderStack",
                    "metadata": {"name": STACK},
                    "spec": SPEC | spec,
                }
            ),
        )

    def until(self, what: str, check: Callable[[], Any], seconds: float) -> Any:
        """Wait until ``check`` gives something true.

        Raises:
            BenchFailed: not within ``seconds``.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(CommandFailed, httpx.HTTPError):
                if found := check():
                    return found
            time.sleep(POLL_SECONDS)
        state = self.kube("get", "rstack,mver,pods", "-o", "wide")
        raise BenchFailed(f"{what}: not within {seconds:.0f} s\n{state}")

    def rest(self, version: str, seconds: float) -> None:
        """Wait, and look as often as while a swap is waited for, so that looks burden both."""
        end = time.monotonic() + seconds
        with suppress(BenchFailed):
            self.until("", lambda: self.settled(version) and time.monotonic() > end, seconds + 1)

    def settled(self, version: str) -> bool:
        """Whether ``version`` answers, alone, on every pod, and the stack says so of its present spec."""
        stack = self.read(OURS)
        status = stack.get("status") or {}
        ready = any(
            one["type"] == "Ready"
            and one["status"] == "True"
            and one["observedGeneration"] == stack["metadata"]["generation"]
            for one in status.get("conditions", [])
        )
        return bool(ready and status.get("liveVersion") == version and self.plan()["drain"] == [])

    def live(self) -> str | None:
        """Version that the stack says is live."""
        return (self.read(OURS).get("status") or {}).get("liveVersion")

    def plan(self) -> Thing:
        """The serving plan."""
        return dict(json.loads(self.read(PLAN)["data"]["plan.json"]))

    def pods(self) -> list[str]:
        """Serving pods that are ready."""
        found = self.read(PODS, labelSelector=SERVING)
        return [one["metadata"]["name"] for one in found["items"] if _ready(one)]

    def pin(self, version: str) -> None:
        """Ask for ``version``, as a person would."""
        patch = {"spec": {"rollout": {"pin": version}}}
        content = {"Content-Type": "application/merge-patch+json"}
        self.api.patch(OURS, json=patch, headers=content).raise_for_status()

    def leader(self) -> str:
        """Operator pod that holds the Lease."""
        leases = self.cluster.get("lease", "-n", OPERATOR_NAMESPACE)["items"]
        pods = self.cluster.get("pods", "-n", OPERATOR_NAMESPACE)["items"]
        held = [lease["spec"].get("holderIdentity", "") for lease in leases]
        names: list[str] = [pod["metadata"]["name"] for pod in pods]
        return next((name for name in names if any(one.startswith(name) for one in held)), names[0])

    def prepare(self, replicas: int) -> tuple[str, str]:
        """Train two versions and start the pods; gives the versions' names, the first one live."""
        with suppress(CommandFailed):
            self.cluster.kube("create", "namespace", NAMESPACE)
        names: list[str] = []
        for seed in (1, 2):
            self.say(f"training version {seed} of 2")
            self.stack(training={"seed": seed}, serving=_serving(1))
            done: str = self.until(f"version {seed} is live", lambda: self._other(names), 600)
            names.append(done)
        self.say(f"starting {replicas} serving pods")
        self.stack(
            training={"seed": 2},
            serving=_serving(replicas),
            rollout=SPEC["rollout"] | {"pin": names[0]},
        )
        self.until(f"{replicas} pods are ready", lambda: len(self.pods()) == replicas, 180)
        self.until("the first version is back", lambda: self.settled(names[0]), 120)
        return names[0], names[1]

    def _other(self, known: list[str]) -> str | None:
        live = self.live()
        return live if live and live not in known and self.settled(live) else None

    @contextmanager
    def load(self, rate: float) -> Iterator[Callable[[], Thing]]:
        """Open-loop load while the block runs; the function ends it and gives what was seen."""
        with loading.load(self.cluster, NAMESPACE, STACK, rate, self.until) as end:
            yield end

    def take_down(self) -> None:
        """Nothing of the benchmark is left."""
        with suppress(CommandFailed):
            self.kube("delete", "rstack,mver", "--all", "--timeout=120s")
            self.cluster.kube("delete", "namespace", NAMESPACE, "--timeout=120s")


def _serving(replicas: int) -> Thing:
    """Requests that let all pods, one more, and a training step be on a node of two cores."""
    return {"replicas": replicas, "cpu": "200m", "memory": "1Gi"}


def _ready(pod: Thing) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
