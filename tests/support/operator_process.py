"""The operator as its pod runs it: a process of its own, with the identity that the chart gives it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import httpx2
from kube import ROOT

T = TypeVar("T")
SOURCES = ("operator", "controllers", "crds", "triton_templates")


def until(what: str, check: Callable[[], T], seconds: float) -> T:
    """Wait for something true; gives it."""
    deadline = time.monotonic() + seconds
    while True:
        if found := check():
            return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)


class OperatorProcess:
    """One replica; ``identity`` is its pod's name."""

    def __init__(self, kubeconfig: Path, environment: Mapping[str, str], identity: str, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.identity, self.log = identity, log
        variables = {
            **environment,
            "KUBECONFIG": str(kubeconfig),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ":".join(str(ROOT / source) for source in SOURCES),
            "POD_NAME": identity,
        }
        # setpriv has the kernel end it with the test run, however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "recstack_operator"]
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels; 0 while the process does not answer."""
        try:
            text = httpx2.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False).text
        except httpx2.HTTPError:
            return 0
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for value in found)

    def status(self, path: str) -> int:
        """HTTP status of one of its pages; 0 while the process does not answer."""
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False).status_code
        except httpx2.HTTPError:
            return 0

    def leads(self) -> bool:
        return self.metric("recstack_leader") == 1

    def writes(self) -> float:
        """Writes to the API server so far, those of the Lease left out."""
        return self.metric("recstack_api_writes_total")

    def kill(self) -> None:
        """As the kernel does it."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def pause(self) -> None:
        """As the suspension of its machine: no thread of it runs."""
        os.killpg(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def wait(self) -> int:
        """Exit status of a process that ends by itself soon."""
        return self._process.wait(5)

    def terminate(self) -> int:
        """As kubelet does it; gives the exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(20)

    def close(self) -> None:
        """Make sure that it is gone."""
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()

    def resident_megabytes(self) -> float:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) / 1024

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
