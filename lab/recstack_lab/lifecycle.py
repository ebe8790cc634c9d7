"""Up, down and status of a lab as a whole."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recstack_lab import binaries, cgroups, loading, manifests, network, node, record, requirements, s3
from recstack_lab.cluster import Cluster
from recstack_lab.config import APISERVER_PORT, Lab, LabError, cache_root
from recstack_lab.console import err, step
from recstack_lab.probes import apiserver_ready, wait_until
from recstack_lab.processes import Process
from recstack_lab.record import Record
from recstack_lab.render import PAUSE_IMAGE

_SOCKET_SECONDS = 60.0
_API_SECONDS = 90.0
_NODE_SECONDS = 120.0


def up(name: str, gpus: int | None = None, owner: int | None = None) -> Lab:
    """A lab of this name that is ready for pods; one that runs and answers is left as it is.

    `gpus` simulated GPUs (None: 2, or those of the lab that runs). With `owner`, a process number, a lab that
    is started now ends when that process ends. LabError when it cannot be had; nothing is left of it then.
    """
    requirements.require_root()
    process = _owner(owner)
    requirements.ensure(requirements.NODE)
    binaries.build_all()
    with record.locked(name):
        lab, state = _running(name, gpus)
        if state is not None:
            _make_ready(lab, state)
            return lab
        lab = Lab(name, record.free_index(name), Lab.gpus if gpus is None else gpus)
        try:
            with step(f"starting the lab {lab.name}"):
                state = node.start(lab, process)
            _make_ready(lab, state)
        except BaseException:
            node.stop(lab)
            raise
    return lab


def down(name: str) -> None:
    """End the lab and remove what is left of it, whatever state it is in."""
    requirements.require_root()
    with record.locked(name):
        node.stop(record.known(name))


def install_s3(name: str, buckets: Sequence[str]) -> s3.Server:
    """The S3 server of a running lab, with these buckets; installed now if it is not there."""
    with record.locked(name):
        lab, state = required(name)
        return s3.up(lab, loading.Node(state), programs(), buckets)


def programs() -> Path:
    """Where the images of the lab's own programs are kept; the caller holds the lock."""
    return cache_root() / "images" / "programs"


def required(name: str) -> tuple[Lab, Record]:
    """The running lab of that name; LabError says how to get one."""
    state = record.load(name)
    if state is None or not node.alive(state):
        raise LabError(f"no lab {name!r} is running: run `recstack-lab up`")
    return record.known(name), state


def _running(name: str, gpus: int | None) -> tuple[Lab, Record | None]:
    """The lab if it runs as it should; else what is left of it is removed."""
    lab, state = record.known(name), record.load(name)
    wanted = gpus is None or gpus == lab.gpus
    if state and wanted and node.alive(state) and network.exists(lab) and _answers(lab):
        return lab, state
    if state or cgroups.groups(lab.cgroup):
        with step(f"removing the lab {name} that does not work or is not as asked for"):
            node.stop(lab)
    return lab, None


def _answers(lab: Lab) -> bool:
    # A busy machine may let one question go unanswered; a lab is not thrown away for that.
    for _ in range(3):
        if apiserver_ready(lab.node_address, APISERVER_PORT, lab.directory / "pki" / "ca.crt"):
            return True
        time.sleep(1)
    return False


def _owner(pid: int | None) -> Process | None:
    process = None if pid is None else Process.of(pid)
    if pid is not None and process is None:
        raise LabError(f"there is no process {pid} to own the lab")
    return process


def _make_ready(lab: Lab, state: Record) -> None:
    def ended() -> str | None:
        return None if node.alive(state) else f"the node ended; see {lab.directory / 'logs'}"

    at = loading.Node(state)
    with step("containerd answers"):
        wait_until(at.answers, "containerd answers", _SOCKET_SECONDS, ended)
    for reference in (PAUSE_IMAGE, loading.COREDNS_IMAGE):
        at.load(loading.program_image(reference, programs()))
    with step("the API server is ready"):
        ca = lab.directory / "pki" / "ca.crt"
        wait_until(
            lambda: apiserver_ready(lab.node_address, APISERVER_PORT, ca),
            "the API server is ready",
            _API_SECONDS,
            ended,
        )
    cluster = Cluster(lab)
    with step("applying the cluster's own manifests"):
        cluster.apply(manifests.render(lab))
    with step("the node is Ready"):
        cluster.wait_for_node(_NODE_SECONDS, ended)
    with step("CoreDNS is available"):
        cluster.wait_for_deployment("kube-system", "coredns", _NODE_SECONDS, ended)
    err.print(f"[green]✓[/green] lab {lab.name} is ready: export KUBECONFIG={lab.kubeconfig}", soft_wrap=True)


@dataclass(frozen=True)
class Status:
    """What is known about a lab; `lacks` is empty when it can run pods."""

    name: str
    lacks: str
    kubeconfig: str = ""
    server: str = ""
    node: str = ""
    gpus: int = 0
    owner: int | None = None
    s3: str = ""
    components: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        """For programs."""
        return json.dumps(asdict(self), indent=2)


def status(name: str) -> Status:
    """Look at a lab without changing anything."""
    state = record.load(name)
    lab = record.known(name)
    if state is None:
        left = cgroups.members(lab.cgroup)
        return Status(
            name, f"processes of a lab that crashed are left: {sorted(left)}" if left else "it is not up"
        )
    if not node.alive(state):
        return Status(name, f"it ended or was never whole; see {lab.directory / 'logs'}")
    answers = apiserver_ready(lab.node_address, APISERVER_PORT, lab.directory / "pki" / "ca.crt")
    return Status(
        name,
        _lacks(lab) if answers else "the API server does not answer",
        str(lab.kubeconfig),
        lab.server,
        lab.node_name,
        lab.gpus,
        state.owner.pid if state.owner else None,
        s3.describe(lab) if answers else "",
        _components(lab),
        _images(state) if answers else {},
    )


def _lacks(lab: Lab) -> str:
    cluster = Cluster(lab)
    missing = cluster.node_lacks()
    if missing:
        return f"the node: {missing}"
    return "" if cluster.deployment_available("kube-system", "coredns") else "CoreDNS is not available"


def _images(state: Record) -> dict[str, str]:
    """Named images; containerd knows each by its configuration's digest too."""
    return {
        name: digest
        for name, digest in loading.Node(state).images().items()
        if not name.startswith("sha256:")
    }


def _components(lab: Lab) -> dict[str, dict[str, Any]]:
    try:
        return dict(json.loads((lab.directory / "processes.json").read_text()))
    except FileNotFoundError:
        return {}
