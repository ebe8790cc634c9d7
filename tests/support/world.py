"""A stack in the fake cluster, with hands that play what others do: Jobs, pods, people."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fake_cluster import FakeCluster
from recstack_controllers import modelversion, recommenderstack
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Cluster, Manifest
from recstack_controllers.resources import modelversion as wanted
from recstack_controllers.resources.configmaps import Plan, read_plan
from recstack_controllers.resources.stack import read_stack
from recstack_controllers.resources.steps import Step
from recstack_controllers.settings import Images, Outcome, Settings
from recstack_crds.v1alpha1.modelversion import Findings

SETTINGS = Settings(
    Images("training:1", "serving:1", "valkey:1", "feast:1"), "IfNotPresent", "recstack-system"
)
SPACE, STACK = "shop", "retail"
WINDOW = {"first": "day_00.parquet", "last": "day_11.parquet"}
METRICS = {"recall@10": 0.2, "auc": 0.8, "ndcg@10": 0.1, "recall@10/popularity": 3.0}


@dataclass
class World:
    """``spec`` is the stack's at the start."""

    spec: Manifest = field(default_factory=dict)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    told_gates: list[Manifest] = field(default_factory=list)
    """Verdicts that evaluations tell."""
    traffic: dict[str, Manifest] = field(default_factory=dict)
    """What every pod counts of a version in each epoch, once it knows of it."""
    latency: Manifest | None = field(default_factory=lambda: {"p50": 3.0, "p99": 5.0})
    """What every pod measures when it proves a version."""

    skew: list[Manifest] = field(default_factory=list)
    """What features steps tell of logged values."""
    not_compiled: list[Manifest] = field(default_factory=list)
    """What they tell of operators that NVTabular runs."""
    found: Findings | None = None
    """What a look at the data finds."""
    through: Callable[[], Cluster] | None = None
    """What the operator reads and writes through in a pass; None: the cluster itself."""

    def __post_init__(self) -> None:
        self.edit(self.spec)

    # People

    def edit(self, spec: Manifest) -> None:
        metadata: Manifest = {"name": STACK, "namespace": SPACE}
        self.cluster.put(
            {
                "apiVersion": "recstack.dev/v1alpha1",
                "kind": "RecommenderStack",
                "metadata": metadata,
                "spec": spec,
            }
        )

    def secret(self, name: str, *keys: str) -> None:
        self.cluster.put(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": SPACE},
                "data": dict.fromkeys(keys, "eA=="),
            }
        )

    # The operator

    def _seen(self) -> Cluster:
        return self.through() if self.through else self.cluster

    async def stack(self) -> Outcome:
        return await recommenderstack.reconcile(self._seen(), self.cluster.clock, SETTINGS, SPACE, STACK)

    async def version(self, name: str) -> Outcome:
        return await modelversion.reconcile(self._seen(), self.cluster.clock, SETTINGS, SPACE, name)

    async def round(self) -> int:
        """One pass over everything; gives the number of writes."""
        before = len(self.cluster.writes)
        await self.stack()
        for name in self.versions():
            await self.version(name)
        return len(self.cluster.writes) - before

    async def settle(self, most: int = 80) -> None:
        """Everybody does their part well until nothing is written any more."""
        for _ in range(most):
            self.cluster.clock.forward(5)
            moved = self.finish_jobs() + self.serve()
            if not await self.round() and not moved and self.plan.rollout is None:
                return
        raise AssertionError(f"it never settles: {self.cluster.writes[-12:]}")

    # Other controllers and the pods

    def finish_jobs(
        self, exit_code: int = 0, reason: str = "Completed", message: str = "", only: str = ""
    ) -> int:
        """End every Job that runs and has ``only`` in its name; gives how many."""
        ended = 0
        for job in self.cluster.all("Job"):
            if (job.get("status") or {}).get("conditions") or only not in job["metadata"]["name"]:
                continue
            ended += 1
            labels = job["metadata"]["labels"]
            step, version = labels.get(names.STEP), labels.get(names.VERSION)
            result: Manifest = {"step": step or "features", "computeSeconds": 1.5, "metrics": {}}
            if names.CHECK in labels and self.found is not None:
                found = self.found.model_dump(mode="json", by_alias=True, exclude_none=True)
                result |= {"step": "check", "check": found}
            if step == Step.INGEST:
                days = self.cluster.find("ModelVersion", version)["spec"].get("days") or WINDOW
                result["window"] = WINDOW | {"last": days["last"]}
            if step == Step.FEATURES:
                result |= {"skew": self.skew, "notCompiled": self.not_compiled}
            if step == Step.EVALUATE:
                result |= {"metrics": METRICS, "gates": self.told_gates}
            if step == Step.EMBED:
                result["metrics"] = {"embeddings.look.missing": 3}
            if step == Step.PACKAGE:
                result["package"] = f"sha256:{version}"
            done = "Complete" if exit_code == 0 else "Failed"
            job["status"] = {
                "conditions": [{"type": done, "status": "True", "reason": "BackoffLimitExceeded"}]
            }
            name = job["metadata"]["name"] + "-x"
            self.cluster.put(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": name,
                        "namespace": SPACE,
                        "labels": labels,
                        "ownerReferences": [{"uid": job["metadata"]["uid"]}],
                    },
                    "status": {
                        "phase": "Succeeded" if exit_code == 0 else "Failed",
                        "containerStatuses": [
                            {
                                "name": "step",
                                "state": {
                                    "terminated": {
                                        "exitCode": exit_code,
                                        "reason": reason,
                                        "message": message or json.dumps(result),
                                    }
                                },
                            }
                        ],
                    },
                }
            )
        return ended

    def pod(self, number: int) -> None:
        """A serving pod starts to run; it holds nothing yet."""
        self.cluster.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"pod-{number}",
                    "namespace": SPACE,
                    "labels": names.selector(STACK, "serving"),
                },
                "status": {"phase": "Running", "podIP": f"10.0.0.{number}"},
            }
        )
        self.cluster.answers[self.url(number)] = {}

    def kill(self, number: int) -> None:
        self.cluster.remove("Pod", f"pod-{number}")
        self.cluster.answers.pop(self.url(number), None)

    def report(self, number: int, state: str = "Proven", version: str | None = None) -> None:
        """What a pod says of each planned version, or of one."""
        said = self.cluster.answers[self.url(number)]
        for one in self.plan.versions:
            if version in (None, one.name):
                said[one.name] = {"state": state, "digest": one.digest, "message": "for a reason"}
                said[one.name]["latency"] = self.latency
                if one.name in self.traffic and self.plan.rollout is not None:
                    counted = {"epoch": self.plan.rollout.epoch} | self.traffic[one.name]
                    said[one.name]["statistics"] = counted
        for name in self.plan.drain:
            said.pop(name, None)

    def serve(self) -> int:
        """The pods that the Deployment asks for run and prove all that is planned; gives what changed."""
        before = json.dumps([self.cluster.answers, self.statuses()], sort_keys=True)
        for deployment in self.cluster.all("Deployment"):
            wanted = deployment["spec"].get("replicas", 1)
            worker = deployment["metadata"]["name"] == names.events(STACK)
            for number in range(1, wanted + 1 if not worker else 1):
                if self.url(number) not in self.cluster.answers:
                    self.pod(number)
                self.report(number)
            ready = wanted if self.plan.live or worker else 0
            deployment["status"] = {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": wanted,
                "updatedReplicas": wanted,
                "readyReplicas": ready,
                "availableReplicas": ready,
            }
        for server in self.cluster.all("StatefulSet"):
            server["status"] = {"readyReplicas": 1}
        return int(json.dumps([self.cluster.answers, self.statuses()], sort_keys=True) != before)

    def statuses(self) -> list[Any]:
        kinds = ("Deployment", "StatefulSet")
        return [found.get("status") for kind in kinds for found in self.cluster.all(kind)]

    # What there is

    @staticmethod
    def url(number: int) -> str:
        return f"http://10.0.0.{number}:{names.GATEWAY_PORT}/versions"

    @property
    def plan(self) -> Plan:
        return read_plan(self.cluster.objects.get(("ConfigMap", SPACE, names.plan(STACK))))[0]

    def plan_generation(self) -> int:
        return read_plan(self.cluster.objects.get(("ConfigMap", SPACE, names.plan(STACK))))[1]

    def wanted(self) -> str:
        """Name of the version of the present spec."""
        return wanted.name(read_stack(self.cluster.find("RecommenderStack", STACK), SETTINGS))

    def versions(self) -> list[str]:
        return [one["metadata"]["name"] for one in self.cluster.all("ModelVersion")]

    def condition(self, type: str, kind: str = "RecommenderStack", name: str = STACK) -> Manifest:
        status = self.cluster.find(kind, name).get("status") or {}
        return next((one for one in status.get("conditions", []) if one["type"] == type), {})
