"""The lab's control groups (version 1, or hybrid): everything in the lab is in them and is found by them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from recstack_lab.config import LabError

_KILL_SECONDS = 20.0


@dataclass(frozen=True)
class Hierarchy:
    """A mounted control group hierarchy."""

    mountpoint: Path
    # Options with which mount(8) gives the same hierarchy again; None for the unified one.
    options: str | None


def parse(mountinfo: str) -> list[Hierarchy]:
    """The hierarchies that a /proc/*/mountinfo shows."""
    found: dict[Path, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if not after:
            continue
        kind, _, options = after.split(" ", 2)
        mountpoint = Path(before.split()[4])
        if kind == "cgroup2":
            found[mountpoint] = Hierarchy(mountpoint, None)
        elif kind == "cgroup":
            controllers = [word for word in options.split(",") if word not in {"rw", "ro", "xattr"}]
            controllers = [word for word in controllers if not word.startswith("release_agent=")]
            if any(word.startswith("name=") for word in controllers):
                controllers.insert(0, "none")
            found[mountpoint] = Hierarchy(mountpoint, ",".join(controllers))
    return list(found.values())


def hierarchies() -> list[Hierarchy]:
    """The hierarchies of this machine; LabError where the lab cannot run."""
    found = parse(Path("/proc/self/mountinfo").read_text())
    if not any(each.options and "memory" in each.options.split(",") for each in found):
        raise LabError(
            "the lab needs control groups version 1 (or hybrid): boot with"
            " systemd.unified_cgroup_hierarchy=0, or use a cluster of your own (make demo CONTEXT=name)"
        )
    return found


def create(name: str) -> list[Path]:
    """Make the group in each hierarchy; the files by which a process joins it."""
    joins = []
    for hierarchy in hierarchies():
        group = hierarchy.mountpoint / name
        group.mkdir(exist_ok=True)
        # A new cpuset is empty, and no process can join it before it has processors and memory.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            parent = hierarchy.mountpoint / setting
            if hierarchy.options is not None and parent.exists():
                (group / setting).write_text(parent.read_text())
        joins.append(group / "cgroup.procs")
    return joins


def groups(name: str) -> list[Path]:
    """The group in each hierarchy where it exists."""
    found = parse(Path("/proc/self/mountinfo").read_text())
    return [each.mountpoint / name for each in found if (each.mountpoint / name).is_dir()]


def members(name: str) -> set[int]:
    """All processes in the group and in the groups below it."""
    pids: set[int] = set()
    for group in groups(name):
        for directory, _, _ in os.walk(group):
            with contextlib.suppress(OSError):
                pids.update(int(word) for word in (Path(directory) / "cgroup.procs").read_text().split())
    return pids - {0, os.getpid()}


def destroy(name: str) -> None:
    """Kill every member and remove the group from each hierarchy."""
    deadline = time.monotonic() + _KILL_SECONDS
    while True:
        alive = members(name)
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for group in groups(name):
            for directory, _, _ in os.walk(group, topdown=False):
                # Busy as long as a dying process is in it: the next round tries again.
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
        if not groups(name):
            return
        if time.monotonic() > deadline:
            raise LabError(
                f"the control group {name} cannot be removed; processes in it: {sorted(members(name))}"
            )
        time.sleep(0.05)
