"""One API server with recstack's CRDs; operator processes; and hands that play kubelet and controllers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from recstack_lab import apiserver
from recstack_lab.binaries import binary

ROOT = Path(__file__).parents[3]
Thing = dict[str, Any]


@dataclass
class Space:
    """A namespace and kubectl in it."""

    kubeconfig: Path
    name: str

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl; its exit status is the caller's to judge."""
        command = [str(binary("kubectl")), "--kubeconfig", str(self.kubeconfig), "-n", self.name, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl; fails the test when it does."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *what: str) -> Thing:
        found: Thing = json.loads(self.kubectl("get", *what, "-o", "json"))
        return found

    def names(self, kind: str) -> list[str]:
        return self.kubectl("get", kind, "-o", "name").split()

    def stack(self, name: str, spec: Thing) -> None:
        """Apply a RecommenderStack."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(stack(name, spec)))

    def status(self, kind: str, name: str, status: Thing) -> None:
        patch = json.dumps({"status": status})
        self.kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


def stack(name: str, spec: Thing) -> Thing:
    """A RecommenderStack."""
    return {
        "apiVersion": "recstack.dev/v1alpha1",
        "kind": "RecommenderStack",
        "metadata": {"name": name},
        "spec": spec,
    }


@dataclass
class Operator:
    """One operator process."""

    identity: str
    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def fetch(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; 0 while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=3) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        lines = self.fetch("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    @property
    def leads(self) -> bool:
        return self.metric("recstack_leader") == 1

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass
class Operators:
    """Starts operator processes on one namespace; ends them all."""

    space: Space
    folder: Path
    running: list[Operator] = field(default_factory=list)

    def start(self, identity: str) -> Operator:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = self.folder / f"{identity}.log"
        paths = [ROOT / part for part in ("operator", "controllers", "crds", "triton_templates")]
        environment = os.environ | {
            "PYTHONPATH": ":".join(map(str, paths)),
            "KUBECONFIG": str(self.space.kubeconfig),
        }
        flags = {
            "namespace": self.space.name,
            "operator-namespace": self.space.name,
            "identity": identity,
            "training-image": "training:1",
            "serving-image": "serving:1",
            "valkey-image": "valkey:1",
            "port": str(port),
        }
        arguments = [part for flag, value in flags.items() for part in (f"--{flag}", value)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                # setpriv has the kernel end it with the test, however that ends.
                ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "recstack_operator", *arguments],
                stdout=stream,
                stderr=stream,
                env=environment,
            )
        made = Operator(identity, port, process, log)
        self.running.append(made)
        return made

    def end(self) -> None:
        for one in self.running:
            if one.process.poll() is None:
                one.kill()


def wait_for(what: Callable[[], object], told: str, seconds: float = 30) -> float:
    """Wait until ``what`` is true; gives the seconds that it took."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < seconds, f"{told}: not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - begun


@pytest.fixture(scope="package")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with apiserver.start(tmp_path_factory.mktemp("apiserver")) as found:
        kubectl = [str(binary("kubectl")), "--kubeconfig", str(found)]
        subprocess.run([*kubectl, "apply", "-f", str(ROOT / "crds"), "-o", "name"], check=True, timeout=60)
        wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]
        subprocess.run([*kubectl, *wait], check=True, timeout=60)
        yield found


@pytest.fixture
def space(kubeconfig: Path) -> Space:
    made = Space(kubeconfig, f"test-{uuid.uuid4().hex[:8]}")
    made.kubectl("create", "namespace", made.name)
    return made


@pytest.fixture
def operators(space: Space, tmp_path: Path) -> Iterator[Operators]:
    made = Operators(space, tmp_path)
    try:
        yield made
    finally:
        made.end()
