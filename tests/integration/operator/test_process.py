"""Real operator processes on a real API server."""

import json
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from fake_hands import end_jobs

from .conftest import Operators, Space, Thing, wait_for

FAILOVER_SECONDS = 15
IDLE_SECONDS = 8


def condition(space: Space, name: str, type: str, kind: str = "rstack") -> Thing:
    status = space.get(kind, name).get("status") or {}
    return next((one for one in status.get("conditions", []) if one["type"] == type), {})


def holder(space: Space) -> str:
    found: str = space.get("lease", "recstack-operator")["spec"].get("holderIdentity", "")
    return found


def trained(space: Space) -> bool:
    end_jobs(space)
    return condition(space, "shop", "ModelReady").get("reason") == "Loading"


def all_versions(space: Space) -> dict[str, str]:
    """Each object of the namespace that the operator writes, and its resourceVersion."""
    kinds = "rstack,mver,deploy,sts,svc,cm,sa,pvc,secret,job,role,rolebinding,pdb,netpol"
    return {
        f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
        for one in space.get(kinds)["items"]
    }


def test_a_stack_is_trained_and_then_costs_nothing(space: Space, operators: Operators) -> None:
    one = operators.start("one")
    wait_for(lambda: one.fetch("/readyz")[0] == 200, "ready")
    space.stack("shop", {})
    wait_for(lambda: trained(space), "trained", 60)
    (version,) = space.get("mver")["items"]
    assert version["status"]["package"] == f"sha256:{version['metadata']['name']}"
    assert version["metadata"]["ownerReferences"][0]["kind"] == "RecommenderStack"
    assert version["metadata"]["ownerReferences"][0]["controller"] is True
    # No pod runs here, so the version stays a candidate: nothing moves, and nothing may be written.
    time.sleep(3)
    before, writes = all_versions(space), one.metric("recstack_api_writes_total")
    spent = processor_seconds(one.process.pid)
    time.sleep(IDLE_SECONDS)
    assert one.metric("recstack_api_writes_total") == writes > 0
    assert all_versions(space) == before
    share = (processor_seconds(one.process.pid) - spent) / IDLE_SECONDS
    resident = memory(one.process.pid)
    print(f"waiting operator: {share:.2%} of a core, {resident / 2**20:.0f} MiB")
    assert resident < 150 * 2**20
    assert one.fetch("/healthz") == (200, "ok\n")


def processor_seconds(pid: int) -> float:
    """Of user and system, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_killed_leader_is_replaced(space: Space, operators: Operators) -> None:
    one = operators.start("one")
    wait_for(lambda: one.leads, "one leads")
    two = operators.start("two")
    wait_for(lambda: two.fetch("/readyz")[0] == 200, "two stands by, ready")
    assert not two.leads
    one.kill()
    took = wait_for(lambda: holder(space) == "two", "two leads", FAILOVER_SECONDS)
    print(f"fail-over after kill -9: {took:.1f} s")
    space.stack("shop", {})
    wait_for(lambda: space.names("job"), "two reconciles")


def test_a_leader_that_is_told_to_stop_hands_over_at_once(space: Space, operators: Operators) -> None:
    one = operators.start("one")
    wait_for(lambda: one.leads, "one leads")
    two = operators.start("two")
    wait_for(lambda: two.fetch("/readyz")[0] == 200, "two stands by")
    one.process.send_signal(signal.SIGTERM)
    took = wait_for(lambda: holder(space) == "two", "two leads", 6)
    print(f"hand-over after SIGTERM: {took:.1f} s")
    assert one.process.wait(20) == 0


def test_a_leader_cut_off_from_writing_ends_before_another_leads(space: Space, operators: Operators) -> None:
    one = operators.start("one")
    wait_for(lambda: one.leads, "one leads")
    two = operators.start("two")
    wait_for(lambda: two.fetch("/readyz")[0] == 200, "two stands by")
    # Stopped as a paused machine is: it cannot renew, and when it wakes it must not write.
    one.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: holder(space) == "two", "two leads", FAILOVER_SECONDS)
    space.stack("shop", {})
    one.process.send_signal(signal.SIGCONT)
    assert one.process.wait(3) == 70
    wait_for(lambda: space.names("job"), "two reconciles")


def test_an_operator_killed_again_and_again_comes_to_the_right_end(
    space: Space, operators: Operators
) -> None:
    space.stack("shop", {})
    for attempt in range(3):
        # The Lease of a dead process would only cost time here: what is tested is the half-done work.
        space.run("delete", "lease", "recstack-operator")
        one = operators.start(f"try-{attempt}")
        wait_for(lambda one=one: one.metric("recstack_api_writes_total") > 0, "it writes")  # type: ignore[misc]
        one.kill()
    space.run("delete", "lease", "recstack-operator")
    operators.start("last")
    wait_for(lambda: trained(space), "trained", 60)
    assert len(space.names("mver")) == 1
    assert len(space.names("job")) == 6


class _Gateway(BaseHTTPRequestHandler):
    """What the gateway of a pod that has proven everything says."""

    said: ClassVar[Thing] = {}

    def do_GET(self) -> None:
        body = json.dumps(self.said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


def test_a_live_stack_rests(space: Space, operators: Operators) -> None:
    """Jobs, a pod and its gateway are played; then nothing is written and next to nothing is computed."""
    address = "127.0.0.77"
    server = ThreadingHTTPServer((address, 8080), _Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        one = operators.start("one")
        space.stack("shop", {})
        wait_for(lambda: trained(space), "trained", 60)
        version = space.get("mver")["items"][0]["metadata"]["name"]
        _Gateway.said = {version: {"state": "Proven", "digest": f"sha256:{version}"}}
        labels = {"recstack.dev/stack": "shop", "app.kubernetes.io/component": "serving"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "serving", "labels": labels},
            "spec": {"containers": [{"name": "gateway", "image": "serving:1"}]},
        }
        space.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        space.status("pod", "serving", {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]})
        space.status("sts", "shop-valkey", {"replicas": 1, "readyReplicas": 1})
        generation = space.get("deploy", "shop-serving")["metadata"]["generation"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
        space.status("deploy", "shop-serving", {"observedGeneration": generation, **counts})
        wait_for(lambda: condition(space, "shop", "Ready").get("status") == "True", "ready")
        assert space.get("rstack", "shop")["status"]["liveVersion"] == version
        wait_for(lambda: condition(space, version, "Live", "mver").get("status") == "True", "told to be live")
        time.sleep(2)
        before, writes = all_versions(space), one.metric("recstack_api_writes_total")
        spent = processor_seconds(one.process.pid)
        time.sleep(IDLE_SECONDS)
        share = (processor_seconds(one.process.pid) - spent) / IDLE_SECONDS
        print(f"resting operator: {share:.2%} of a core, {memory(one.process.pid) / 2**20:.0f} MiB")
        assert one.metric("recstack_api_writes_total") == writes
        assert all_versions(space) == before
        assert share < 0.03  # under 1 % on a machine of its own; other tests run beside this one
    finally:
        server.shutdown()
        server.server_close()
