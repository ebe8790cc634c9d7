"""The pods and the reference's Triton that are measured, and what they take of the machine."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
from recstack_triton_templates.render import model_name
from tritonclient.grpc import service_pb2, service_pb2_grpc

from benchmarks.serving.baseline import repository
from benchmarks.serving.load import Load
from benchmarks.serving.trained import ROOT, Trained
from tests.serving.api_server import ApiServer
from tests.serving.pod import Pod, lay_out_triton
from tests.serving.valkey_server import ValkeyServer, free_port

VERSION = "bench"
LOAD_SECONDS = 300
ROOTS = ("", "crds", "triton_templates", "gateway", "lab")


def roots(tree: Path) -> list[str]:
    """Where programs of a working tree are imported from."""
    return [str(tree / root) for root in ROOTS]


@dataclass(frozen=True)
class Target:
    """Something to send load to: ``kind``, ``port`` and ``model`` as :class:`Load` has them."""

    name: str
    kind: str
    port: int
    model: str
    grpc_port: int

    def load(self, concurrency: int, seconds: float, users: list[int]) -> Load:
        """A measurement."""
        return Load(self.kind, self.port, self.model, concurrency, seconds, users)

    def through(self, port: int) -> "Target":
        """The same, asked through the gateway."""
        return replace(self, kind="gateway", port=port)


class OurPod:
    """A serving pod of one graph, gateway included. ``tree``: the working tree whose code it runs."""

    def __init__(self, folder: Path, valkey: ValkeyServer, python: Path, tree: Path = ROOT) -> None:
        folder.mkdir()
        self._api = ApiServer()
        self._api.start()
        self.pod = Pod(folder, self._api, valkey.url, python, roots(tree))

    def start(self, package: Path, graph: str, seconds: float = 120, *, instances: int = 1) -> Target:
        """Serve the package in a folder ``<artifacts>/packages/<hex>``; returns its entry model.

        ``instances``: model processes of the fused graph, as ``spec.serving`` has them.
        """
        pod, digest = self.pod, f"sha256:{package.name}"
        pod.publish(
            VERSION, pod.add_version(VERSION, digest, package.parents[1], graph=graph, instances=instances)
        )
        pod.start("triton_server")
        pod.start("main")
        pod.wait("ready", lambda: pod.client.get("/readyz").status_code == 200, seconds)
        return Target(graph, "model", pod.grpc_port, model_name(VERSION), pod.grpc_port)

    def memory(self) -> dict[str, int]:
        """Proportional set size of each program with what it started, MiB."""
        return {
            name: round(sum(_pss(pid) for pid in _group(leader)) / 2**20)
            for name, leader in {
                "triton" if k == "triton_server" else "gateway": v for k, v in self.pod.pids().items()
            }.items()
        }

    def stop(self) -> None:
        """End all of it."""
        self.pod.stop()
        self._api.stop()


class Reference:
    """The reference's Triton. ``python``: of its environment."""

    def __init__(self, folder: Path, valkey: ValkeyServer, python: Path, trained: Trained) -> None:
        folder.mkdir()
        self._folder, self._python = folder, python
        self.port = free_port()
        code = [str(ROOT), str(ROOT / "triton_templates")]
        # Numba and the like take a thread each core otherwise, in each of fifteen processes.
        self._environment = os.environ | {"PYTHONPATH": ":".join(code), "OMP_NUM_THREADS": "1"}
        words = (trained.package, trained.items, folder / "feast", f"127.0.0.1:{valkey.port}")
        module = "benchmarks.serving.baseline.store"
        with (folder / "store.log").open("w") as log:
            subprocess.run(
                [python, "-m", module, *words], check=True, env=self._environment, stdout=log, stderr=log
            )
        settings = repository.BaselineSettings(
            code, str(trained.package), str(folder / "feast"), f"valkey://127.0.0.1:{valkey.port}/0"
        )
        repository.write(folder / "repository", settings)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> list[Target]:
        """Load both ensembles."""
        home = self._folder / "triton"
        environment = self._environment | lay_out_triton(home, self._python)
        command = [
            str(home / "bin" / "tritonserver"),
            f"--model-repository={self._folder / 'repository'}",
            f"--backend-directory={home / 'backends'}",
            "--model-control-mode=explicit",
            "--disable-auto-complete-config",
            f"--grpc-port={self.port}",
            "--allow-http=false",
            "--allow-metrics=false",
            f"--backend-config=python,shm-region-prefix-name=reference-{self.port}-",
        ]
        with (self._folder / "triton.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(f"127.0.0.1:{self.port}"))
        self._wait(stub)
        for entry in (repository.ENTRY, repository.CACHED):
            stub.RepositoryModelLoad(
                service_pb2.RepositoryModelLoadRequest(model_name=entry), timeout=LOAD_SECONDS
            )
        return [
            Target(name, "reference", self.port, entry, self.port)
            for name, entry in (("reference", repository.ENTRY), ("reference, cached", repository.CACHED))
        ]

    def _wait(self, stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
        for _ in range(300):
            try:
                stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=1)
                return
            except grpc.RpcError:
                time.sleep(0.1)
        raise RuntimeError((self._folder / "triton.log").read_text()[-3000:])

    def stop(self) -> None:
        """End it and what it started."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for region in Path("/dev/shm").glob(f"reference-{self.port}-*"):
            region.unlink(missing_ok=True)


def compute_milliseconds(target: Target) -> tuple[int, float]:
    """Inferences of a model so far and the time that they took, queue included, by Triton's own clock."""
    with grpc.insecure_channel(f"127.0.0.1:{target.grpc_port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answer = stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name=target.model), timeout=5)
    success = answer.model_stats[0].inference_stats.success
    return success.count, success.ns / 1e6


def _group(leader: int) -> Iterable[int]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if os.getpgid(int(path.name)) == leader:
                    yield int(path.name)
            except ProcessLookupError:
                continue


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
