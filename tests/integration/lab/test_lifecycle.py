"""A real node: nothing of it is left, however it is ended. Needs root; each start takes about 12 s."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from recstack_lab import cgroups, lifecycle, record
from recstack_lab.config import Lab
from recstack_lab.processes import Process

NAME = "crash"
CLI = [sys.executable, "-m", "recstack_lab.cli"]
LAB = Lab(NAME)
KINDS = ("mnt", "pid", "net", "uts", "ipc", "cgroup")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and mounts need root")


def traces() -> dict[str, list[str]]:
    """Everything on this machine by which a lab of this name could be noticed."""
    processes, namespaces = [], []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            mine = str(LAB.directory) in command or f"--name {NAME}" in command
            spaces = [os.readlink(path / "ns" / kind) for kind in KINDS] if mine else []
        except OSError:
            continue
        if mine:
            processes.append(command)
            namespaces += [space for space in spaces if space not in own_namespaces()]
    others = links_of_other_labs()
    links = json.loads(subprocess.check_output(["ip", "-json", "link"]))
    routes = json.loads(subprocess.check_output(["ip", "-json", "route"]))
    return {
        "processes": processes,
        "namespaces": namespaces,
        "members": [str(pid) for pid in cgroups.members(LAB.cgroup)],
        "cgroups": [str(path) for path in cgroups.groups(LAB.cgroup)],
        "links": [
            link["ifname"]
            for link in links
            if link["ifname"].startswith("rslab") and link["ifname"] not in others
        ],
        "routes": [
            route["dst"]
            for route in routes
            if route.get("dev", "").startswith("rslab") and route["dev"] not in others
        ],
        "mounts": [
            line
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if str(LAB.directory) in line
        ],
    }


def links_of_other_labs() -> set[str]:
    names = [path.parent.name for path in LAB.directory.parent.glob("*/record.json")]
    return {record.known(name).link for name in names if name != NAME}


def own_namespaces() -> list[str]:
    return [os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS]


def nothing_left() -> bool:
    return not any(traces().values())


def cli(*arguments: str) -> None:
    subprocess.run(
        [*CLI, *arguments, "--name", NAME], check=True, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def clean() -> Iterator[None]:
    try:
        yield
    finally:
        cli("down")


def started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*CLI, "up", "--name", NAME],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.usefixtures("clean")
def test_a_start_that_is_killed_anywhere_leaves_nothing_after_down() -> None:
    cli("up")
    # The mounts alone are never seen from here: they are the node's own.
    assert {kind for kind, found in traces().items() if not found} == {"mounts"}
    cli("down")
    dice = random.Random(os.environ.get("SEED", "7"))
    # Most of the first second is spent on making things, the rest on waiting for them.
    for delay in [*(dice.uniform(0.2, 1.6) for _ in range(5)), dice.uniform(2, 10)]:
        starting = started()
        time.sleep(delay)
        os.killpg(starting.pid, signal.SIGKILL)
        starting.wait()
        cli("down")
        assert nothing_left(), (delay, traces())


@pytest.mark.usefixtures("clean")
def test_a_lab_ends_with_its_owner_and_a_stale_one_is_replaced() -> None:
    with subprocess.Popen(["sleep", "600"]) as owner:
        cli("up", "--owner", str(owner.pid))
        first = lifecycle.required(NAME)[1]
        cli("up")
        assert lifecycle.required(NAME)[1] == first, "a lab that runs is left as it is"
        owner.kill()
    deadline = time.monotonic() + 20
    while not nothing_left():
        assert time.monotonic() < deadline, traces()
        time.sleep(0.2)

    cli("up")
    init = lifecycle.required(NAME)[1].init
    assert init is not None
    init.kill()
    assert lifecycle.status(NAME).lacks
    cli("up")
    second = lifecycle.required(NAME)[1].init
    assert isinstance(second, Process)
    assert second.alive()
    assert not lifecycle.status(NAME).lacks
    # The chain from the keeper down holds: whoever ends it ends all processes, and `down` the rest.
    keeper = lifecycle.required(NAME)[1].keeper
    assert keeper is not None
    keeper.kill()
    deadline = time.monotonic() + 10
    while second.alive():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    cli("down")
    assert nothing_left(), traces()
