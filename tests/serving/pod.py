"""A serving pod outside of Kubernetes: the same two programs with the same environment, side by side."""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from recstack_triton_templates.render import ServingSettings, render

from tests.serving.api_server import ApiServer
from tests.serving.valkey_server import free_port


def lay_out_triton(home: Path, python: Path = Path(sys.executable)) -> dict[str, str]:
    """Make ``home`` a Triton like the image's, from the wheel; returns the environment that it needs.

    ``python``: of the virtual environment, of this Python's version, that has the wheel.
    """
    site = python.parents[1] / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    wheel = site / "pytriton" / "tritonserver"
    shutil.copytree(wheel / "backends", home / "backends")
    stub = home / "backends" / "python" / "triton_python_backend_stub"
    shutil.copy(wheel / "python_backend_stubs" / "3.11" / stub.name, stub)
    (home / "bin").mkdir()
    (home / "bin" / "tritonserver").symlink_to(wheel / "bin" / "tritonserver")
    for program in (stub, wheel / "bin" / "tritonserver"):
        program.chmod(0o755)
    # Without libpython in sight a load hangs for ever.
    libraries = [str(site / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    return {
        "TRITON_HOME": str(home),
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }


class Pod:
    """Triton and gateway of stack ``shop/retail``; ``api`` stands for the API server.

    ``python``: with the serving image's packages; ``code``: where the programs are imported from.
    """

    def __init__(
        self,
        folder: Path,
        api: ApiServer,
        valkey_url: str | None,
        python: Path = Path(sys.executable),
        code: Sequence[str] = tuple(sys.path),
    ) -> None:
        self.folder, self.api, self._python = folder, api, python
        self.port, self.grpc_port = free_port(), free_port()
        self._environment = (
            os.environ
            | lay_out_triton(folder / "triton", python)
            | {
                "RECSTACK_NAMESPACE": "shop",
                "RECSTACK_STACK": "retail",
                "MODELS": str(folder / "models"),
                "PLAN": str(folder / "plan"),
                "PORT": str(self.port),
                "TRITON_GRPC_PORT": str(self.grpc_port),
                "TRITON_HTTP_PORT": str(free_port()),
                "TRITON_METRICS_PORT": str(free_port()),
                "KUBECONFIG": str(api.kubeconfig(folder / "kubeconfig")),
                "PYTHONPATH": ":".join(str(Path(path).resolve()) for path in code if path),
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        )
        if valkey_url:
            self._environment["VALKEY_URL"] = valkey_url
        (folder / "plan").mkdir()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=5, trust_env=False)
        self._generation = 0
        self.behaviour: dict[str, Any] | None = None
        """Of the plan's events."""

    def start(self, module: str, **environment: str) -> None:
        """``triton_server``, ``main`` or ``worker``."""
        with (self.folder / f"{module}.log").open("ab") as log:
            self._processes[module] = subprocess.Popen(
                [self._python, "-m", f"recstack_gateway.{module}"],
                env=self._environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, module: str, number: int = signal.SIGKILL) -> int:
        """End a program and, as the end of a container does, what it started."""
        process = self._processes.pop(module)
        process.send_signal(number)
        code = process.wait(timeout=20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return code

    def stop(self) -> None:
        for module in list(self._processes):
            self.kill(module)
        for region in self.shared_memory():
            region.unlink(missing_ok=True)
        self.client.close()

    def kill_stubs(self) -> int:
        """Kill the model processes of this pod's Triton; returns how many."""
        found = self._stubs()
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return len(found)

    def shared_memory(self) -> set[Path]:
        """Regions of this pod's Triton."""
        return set(Path("/dev/shm").glob(f"recstack-{self.grpc_port}-*"))

    def stubs(self, version: str) -> list[int]:
        """Processes of one version's models."""
        mark = f"--{version}/".encode()
        return [one for one in self._stubs() if mark in Path(f"/proc/{one}/cmdline").read_bytes()]

    def pids(self) -> dict[str, int]:
        """Of the programs; each is the leader of its process group."""
        return {module: process.pid for module, process in self._processes.items()}

    def count_stubs(self) -> int:
        return len(self._stubs())

    def _stubs(self) -> list[int]:
        group = self._processes["triton_server"].pid
        return [
            int(path.name)
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and _is_stub(path, group)
        ]

    def add_version(self, name: str, digest: str, artifacts: Path, **settings: Any) -> dict[str, str]:
        """Publish a version's repository as the operator does; returns its entry in the plan."""
        files = render(name, ServingSettings(**settings))
        binary = {path.replace("/", "__"): base64.b64encode(one).decode() for path, one in files.items()}
        self.api.put(f"repo-{name}", binaryData=binary)
        return {"name": name, "digest": digest, "repo": f"repo-{name}", "artifacts": f"file://{artifacts}"}

    def plan(
        self, live: str | None, *versions: dict[str, str], drain: tuple[str, ...] = (), **more: Any
    ) -> str:
        """The plan's text, with the next generation."""
        self._generation += 1
        seen = {"enabled": True, "ttlSeconds": 518_400, "capacity": 1000, "errorRate": 0.01}
        events = {
            "types": {"view": 1.0, "cart": 5.0, "purchase": 10.0},
            "trendingHalfLifeSeconds": 86_400,
            "trendingBy": ["category_l1"],
            "recentItems": 100,
            "retentionSeconds": 2_592_000,
            "behaviour": self.behaviour,
        }
        value = {
            "generation": self._generation,
            "live": live,
            "versions": versions,
            "drain": drain,
            "serving": {"replicas": 1, "topK": 100, "candidates": 300, "seenFilter": seen},
            "events": events,
        } | more
        return json.dumps(value)

    def publish(
        self, live: str | None, *versions: dict[str, str], drain: tuple[str, ...] = (), **more: Any
    ) -> None:
        self.api.put("retail-plan", data={"plan.json": self.plan(live, *versions, drain=drain, **more)})

    def recommend(self, **body: Any) -> httpx.Response:
        return self.client.post("/v1/recommend", json=body)

    def states(self) -> dict[str, str]:
        return {name: one["state"] for name, one in self.client.get("/versions").json().items()}

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        logs = "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("*.log")))
        raise AssertionError(f"{what}: not after {seconds} s\n{logs}")

    def wait_ready(self) -> None:
        self.wait("ready", lambda: self.client.get("/readyz").status_code == 200)


def _is_stub(path: Path, group: int) -> bool:
    try:
        words = (path / "cmdline").read_bytes()
        return b"triton_python_backend_stub" in words and os.getpgid(int(path.name)) == group
    except (OSError, ProcessLookupError):
        return False
