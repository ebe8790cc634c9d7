"""Only etcd and an API server, on free ports of the loopback interface: enough for integration tests."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recstack_lab.binaries import binary
from recstack_lab.config import LabError
from recstack_lab.controlplane import Endpoints, apiserver_command, etcd_command
from recstack_lab.credentials import ADMIN_GROUP, issue, write_kubeconfig
from recstack_lab.probes import apiserver_ready, wait_until

_SERVICE_CIDR = "10.96.0.0/16"
_ATTEMPTS = 3
_READY_SECONDS = 60.0
_STOP_SECONDS = 10.0


@contextmanager
def start(directory: Path) -> Iterator[Path]:
    """Run a control plane without nodes; gives the administrator's kubeconfig.

    Everything is kept below the directory, and the processes end with the context. If the caller is killed
    the kernel ends them.
    """
    with ExitStack() as stack:
        for attempt in range(_ATTEMPTS):
            try:
                kubeconfig = stack.enter_context(_started(directory))
            except LabError:
                # A port that was free a moment ago may be taken by now: try others.
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                break
        yield kubeconfig


@contextmanager
def _started(directory: Path) -> Iterator[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    etcd_port, peer_port, port = _free_ports(3)
    at = Endpoints("127.0.0.1", port, etcd_port, peer_port)
    pki = directory / "pki"
    issued = issue(pki, [])
    data = directory / "etcd"
    shutil.rmtree(data, ignore_errors=True)
    kubeconfig = write_kubeconfig(
        directory / "kubeconfig",
        f"https://127.0.0.1:{port}",
        issued.server.ca.certificate,
        issued.authority.issue("admin", "recstack:admin", ADMIN_GROUP),
    )
    with (
        _process(etcd_command(binary("etcd"), data, at, issued.server), directory / "etcd.log") as etcd,
        _process(
            apiserver_command(binary("kube-apiserver"), at, issued.server, _SERVICE_CIDR, has_node=False),
            directory / "apiserver.log",
        ) as apiserver,
    ):

        def ended() -> str | None:
            for name, process in (("etcd", etcd), ("apiserver", apiserver)):
                if process.poll() is not None:
                    return f"{name} ended with {process.returncode}; see {directory / name}.log"
            return None

        wait_until(
            lambda: apiserver_ready("127.0.0.1", port, issued.server.ca.certificate),
            "the API server is ready",
            _READY_SECONDS,
            ended,
        )
        yield kubeconfig


@contextmanager
def _process(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        # setpriv has the kernel kill the child when the caller dies, however it dies.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
