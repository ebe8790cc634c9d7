"""The life of a node: it is started whole or not at all, and ended so that nothing of it is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from recstack_lab import cgroups, network, plan, record
from recstack_lab.config import SOURCE_ROOT, Lab, LabError
from recstack_lab.processes import Process, first_child
from recstack_lab.record import Record

_START_SECONDS = 10.0
# `--kill-child` ends init with unshare, and setpriv ends unshare with the keeper: no link of the chain can be
# left over when another one is killed.
_UNSHARE = (
    "setpriv --pdeathsig KILL unshare --mount --pid --net --uts --ipc --cgroup"
    " --fork --kill-child --propagation private tini -s --"
)
# What a stopped lab need not keep: keys, the database, volumes. Logs stay for whoever looks for a cause.
_SECRET_OR_LARGE = ("pki", "etcd", "kubelet", "volumes", "config")


def start(lab: Lab, owner: Process | None) -> Record:
    """Start the node and join it to this machine's network; the caller holds the lock, and none runs."""
    # From here on the record says which addresses are in use; all else is found by the lab's name.
    state = Record(lab.index, lab.gpus, owner=owner)
    record.save(lab.name, state)
    joins = cgroups.create(lab.cgroup)
    file = plan.write(lab)
    keeper = _start_keeper(lab, joins, file, owner)
    state = replace(state, keeper=keeper)
    record.save(lab.name, state)
    init = _wait_for_init(lab, keeper)
    state = replace(state, init=init)
    record.save(lab.name, state)
    network.connect(lab, init.pid)
    return state


def stop(lab: Lab) -> None:
    """End the node and remove what is left of it; the caller holds the lock. No node: nothing happens."""
    cgroups.destroy(lab.cgroup)
    network.disconnect(lab)
    for name in _SECRET_OR_LARGE:
        shutil.rmtree(lab.directory / name, ignore_errors=True)
    lab.kubeconfig.unlink(missing_ok=True)
    record.remove(lab.name)


def alive(state: Record | None) -> bool:
    """Whether the recorded node runs."""
    return bool(state and state.keeper and state.init and state.keeper.alive() and state.init.alive())


def inside(state: Record, argv: list[str]) -> list[str]:
    """A command line that runs in the node's namespaces and ends with the node."""
    if state.init is None:
        raise LabError("the node has no first process: run `recstack-lab up`")
    return ["nsenter", "-t", str(state.init.pid), "-m", "-p", "-n", "-u", "-i", "--", *argv]


def _start_keeper(lab: Lab, joins: list[Path], file: Path, owner: Process | None) -> Process:
    supervisor = [sys.executable, "-IS", str(plan.INSIDE / "supervisor.py"), str(file)]
    spec = {
        "joins": [str(path) for path in joins],
        "leaves": [str(path.parents[1] / path.name) for path in joins],
        "node": [*_UNSHARE.split(), *supervisor],
        "owner": {"pid": owner.pid, "started": owner.started} if owner else None,
        "down": [sys.executable, "-m", "recstack_lab.cli", "down", "--name", lab.name],
        "environment": {"PYTHONPATH": str(SOURCE_ROOT)},
    }
    path = file.with_name("keeper.json")
    path.write_text(json.dumps(spec, indent=2))
    with (lab.directory / "logs" / "node.log").open("ab") as log:
        started = subprocess.Popen(
            [sys.executable, "-IS", str(plan.INSIDE / "keeper.py"), str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    keeper = Process.of(started.pid)
    if keeper is None:
        raise LabError(f"the node did not start; see {lab.directory / 'logs' / 'node.log'}")
    return keeper


def _wait_for_init(lab: Lab, keeper: Process) -> Process:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        unshare = first_child(keeper.pid)
        init = first_child(unshare) if unshare else None
        if init and _in_own_network(init):
            found = Process.of(init)
            if found:
                return found
        if not keeper.alive():
            break
        time.sleep(0.02)
    raise LabError(f"the node did not start; see {lab.directory / 'logs' / 'node.log'}")


def _in_own_network(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    except OSError:
        return False
