"""What other controllers and nodes do, by hand: an API server alone runs no Job and starts no pod."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kube import Kube, Refused, Thing, path
from recstack_controllers import kinds
from recstack_controllers.kit import names
from recstack_controllers.kit.cluster import Kind
from recstack_controllers.resources.configmaps import Plan, read_plan
from recstack_controllers.resources.steps import Step

METRICS = {"recall@10": 0.2, "auc": 0.8, "ndcg@10": 0.1, "recall@10/popularity": 3.0}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Gateway:
    """One serving pod's gateway, as far as the operator asks it: ``GET /versions``."""

    def __init__(self) -> None:
        self.said: Thing = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(outer.said).encode()
                self.send_response(200 if self.path == "/versions" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.address, self._server = _listen(Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _listen(handler: type[BaseHTTPRequestHandler]) -> tuple[str, ThreadingHTTPServer]:
    # All of 127/8 is this machine: each pod gets an address of its own, with the port that gateways have.
    for _ in range(50):
        address = f"127.{random.randrange(1, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}"
        try:
            return address, ThreadingHTTPServer((address, names.GATEWAY_PORT), handler)
        except OSError:
            continue
    raise RuntimeError(f"port {names.GATEWAY_PORT} is taken on every address of the loopback interface")


class Hands:
    """Plays job controller, kubelet, deployment controller and garbage collector of one namespace.

    ``hold``: a step whose Jobs run on; ``jobs``: the uids of each Job's lives, by name.
    """

    def __init__(self, kube: Kube, space: str) -> None:
        self._kube, self._space = kube, space
        self.hold: Step | None = None
        self.jobs: dict[str, list[str]] = {}
        self._gateways: dict[str, Gateway] = {}
        self._stop = threading.Event()
        self._error: BaseException | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """In a thread, until the end of the context; what went wrong there is raised here."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            for gateway in self._gateways.values():
                gateway.close()
        if self._error is not None:
            raise self._error

    def plan(self) -> Plan:
        """The serving plan of the only stack."""
        labels = {names.COMPONENT: "plan"}
        found = self._kube.list(kinds.CONFIG_MAP, self._space, labels)
        return read_plan(found[0] if found else None)[0]

    def _work(self) -> None:
        try:
            while not self._stop.wait(0.2):
                try:
                    self._round()
                except Refused as error:
                    if error.status not in {404, 409}:  # changed meanwhile: look again
                        raise
        except BaseException as error:
            self._error = error

    def _round(self) -> None:
        for job in self._kube.list(kinds.JOB, self._space):
            self._job(job)
        for deployment in self._kube.list(kinds.DEPLOYMENT, self._space):
            self._deployment(deployment)
        for server in self._kube.list(kinds.STATEFUL_SET, self._space):
            self._status(kinds.STATEFUL_SET, server, {"replicas": 1, "readyReplicas": 1})
        self._collect_garbage()

    def _status(self, kind: Kind, thing: Thing, wanted: Thing) -> None:
        """Write only what differs: a settled cluster writes nothing."""
        before = thing.get("status") or {}
        if any(before.get(key) != value for key, value in wanted.items()):
            self._kube.status(kind, self._space, thing["metadata"]["name"], wanted)

    def _job(self, job: Thing) -> None:
        metadata = job["metadata"]
        lives = self.jobs.setdefault(metadata["name"], [])
        if metadata["uid"] not in lives:
            lives.append(metadata["uid"])
        if metadata.get("deletionTimestamp") or (job.get("status") or {}).get("conditions"):
            return
        step = metadata["labels"].get(names.STEP)
        if self.hold is not None and step == self.hold:
            return
        self._succeed(job, step)

    def _succeed(self, job: Thing, step: str | None) -> None:
        metadata = job["metadata"]
        name, begun = f"{metadata['name']}-{len(self.jobs[metadata['name']])}", metadata["creationTimestamp"]
        result: Thing = {"step": step or "features", "computeSeconds": 1.5, "metrics": {}}
        if step == Step.EVALUATE:
            result["metrics"] = METRICS
        if step == Step.PACKAGE:
            result["package"] = f"sha256:{metadata['labels'][names.VERSION]}"
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(result), "finishedAt": now()}
        self._pod(name, {**metadata["labels"]}, "step", [owner])
        self._kube.status(
            kinds.POD,
            self._space,
            name,
            {
                "phase": "Succeeded",
                "containerStatuses": [
                    {
                        "name": "step", "image": "x", "imageID": "x", "ready": False, "restartCount": 0,
                        "state": {"terminated": ended},
                    }
                ],
            },
        )  # fmt: skip
        since = {"status": "True", "lastTransitionTime": now(), "lastProbeTime": now()}
        self._kube.status(
            kinds.JOB,
            self._space,
            metadata["name"],
            {
                "startTime": begun,
                "completionTime": now(),
                "succeeded": 1,
                "conditions": [
                    {"type": "SuccessCriteriaMet", "reason": "CompletionsReached", **since},
                    {"type": "Complete", "reason": "CompletionsReached", **since},
                ],
            },
        )

    def _pod(self, name: str, labels: Thing, container: str, owners: list[Thing]) -> None:
        if self._kube.get(kinds.POD, self._space, name) is not None:
            return
        self._kube.create(
            kinds.POD,
            self._space,
            {
                "metadata": {"name": name, "labels": labels, "ownerReferences": owners},
                "spec": {
                    "automountServiceAccountToken": False,
                    "containers": [{"name": container, "image": "x"}],
                },
            },
        )

    def _deployment(self, deployment: Thing) -> None:
        metadata, wanted = deployment["metadata"], deployment["spec"].get("replicas", 1)
        plan = self.plan()
        for number in range(wanted):
            name = f"{metadata['name']}-{number}"
            if name not in self._gateways:
                self._gateways[name] = Gateway()
                self._pod(name, deployment["spec"]["selector"]["matchLabels"], "gateway", [])
                self._kube.status(kinds.POD, self._space, name, {"phase": "Running"} | self._address(name))
            self._gateways[name].said = {
                one.name: {"state": "Proven", "digest": one.digest} for one in plan.versions
            }
        ready = wanted if plan.live else 0
        self._status(
            kinds.DEPLOYMENT,
            deployment,
            {
                "observedGeneration": metadata["generation"],
                "replicas": wanted,
                "updatedReplicas": wanted,
            }
            | ({"readyReplicas": ready, "availableReplicas": ready} if ready else {}),
        )

    def _address(self, pod: str) -> Thing:
        address = self._gateways[pod].address
        return {"podIP": address, "podIPs": [{"ip": address}]}

    def _collect_garbage(self) -> None:
        """Delete what an owner that is gone, or that waits for it in foreground deletion, has left."""
        owned = [
            (kind, one)
            for kind in (kinds.MODEL_VERSION, kinds.JOB, kinds.POD)
            for one in self._kube.list(kind, self._space)
        ]
        stacks = self._kube.list(kinds.RECOMMENDER_STACK, self._space)
        waiting = [(kind, one) for kind, one in owned if _waits_for_dependents(one)]
        leaving = {one["metadata"]["uid"] for _, one in waiting}
        there = {one["metadata"]["uid"] for one in [*stacks, *(one for _, one in owned)]} - leaving
        for kind, one in owned:
            owners = {owner["uid"] for owner in one["metadata"].get("ownerReferences") or []}
            if owners and not owners & there and not one["metadata"].get("deletionTimestamp"):
                options: dict[str, str | int] = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
                self._kube.http.delete(path(kind, self._space, one["metadata"]["name"]), params=options)
        for kind, one in waiting:
            self._kube.patch(kind, self._space, one["metadata"]["name"], {"metadata": {"finalizers": None}})


def _waits_for_dependents(thing: Thing) -> bool:
    return "foregroundDeletion" in thing["metadata"].get("finalizers", [])
