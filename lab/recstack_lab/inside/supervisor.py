"""Process 2 of a node: prepares its mounts, starts its components, starts again those that end.

It runs as `python -I -S supervisor.py plan.json`, so that it depends on no installed package. When it ends,
the init process ends, and with that the kernel ends everything in the node.
"""

from __future__ import annotations

import http
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

_RESTART_SECONDS = 0.5
_NETWORK_SECONDS = 30.0


def mount(*words: str) -> None:
    """Call mount(8)."""
    subprocess.run(["mount", *words], check=True)


def prepare(plan: dict[str, Any]) -> None:
    """Give the node its own view of the file system; the machine's own mounts stay as they are."""
    socket.sethostname(plan["hostname"])
    mount("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", "/proc")
    subprocess.run(["umount", "-R", "-l", "/sys"], check=True)
    mount("-t", "sysfs", "-o", "nosuid,nodev,noexec", "sysfs", "/sys")
    mount("-t", "tmpfs", "-o", "mode=755", "cgroup", "/sys/fs/cgroup")
    for name, options in plan["cgroups"].items():
        target = Path("/sys/fs/cgroup") / name
        target.mkdir()
        mount("-t", "cgroup", "-o", options, "cgroup", str(target))
    for path in plan["tmpfs"]:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    for path in ("/run/netns", "/run/lock"):
        Path(path).mkdir()
    for source, target in plan["binds"].items():
        Path(target).mkdir(parents=True, exist_ok=True)
        mount("--bind", source, target)
    # The kubelet would write these machine-wide: it is shown the values that it wants instead.
    for number, (path, value) in enumerate(plan["sysctls"].items()):
        shown = Path(f"/run/recstack-sysctl-{number}")
        shown.write_text(f"{value}\n")
        mount("--bind", str(shown), path)
    mount("--make-rshared", "/")


def wait_for_network() -> None:
    """The default route is the last thing that the caller sets up."""
    deadline = time.monotonic() + _NETWORK_SECONDS
    while not any(
        line.split()[1] == "00000000" for line in Path("/proc/net/route").read_text().splitlines()[1:]
    ):
        if time.monotonic() > deadline:
            raise SystemExit("the node got no network")
        time.sleep(0.05)


class Component:
    """A program that is kept running."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Take the program's name, command line, log and what it waits for."""
        self.name: str = spec["name"]
        self._argv: list[str] = spec["argv"]
        self._log: str = spec["log"]
        self._after: list[dict[str, Any]] = spec["after"]
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self.starts = 0

    def keep(self, present: Callable[[dict[str, Any]], bool]) -> bool:
        """Start the program if it should run and does not; whether something changed."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return False
            print(f"{self.name} ended with {code}", flush=True)
            self._process = None
            self._not_before = time.monotonic() + _RESTART_SECONDS
            return True
        if time.monotonic() < self._not_before or not all(map(present, self._after)):
            return False
        with Path(self._log).open("ab") as log:
            self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.starts += 1
        return True

    def state(self) -> dict[str, Any]:
        """For `recstack-lab status`."""
        return {"pid": self._process.pid if self._process else None, "starts": self.starts}


def _present(what: dict[str, Any]) -> bool:
    """Whether a `socket` file exists, a `port` accepts connections, or an `https` server is ready."""
    if "socket" in what:
        return Path(what["socket"]).exists()
    try:
        if "port" in what:
            socket.create_connection(("127.0.0.1", what["port"]), timeout=1).close()
            return True
        context = ssl.create_default_context(cafile=what["ca"])
        with urllib.request.urlopen(what["https"], timeout=1, context=context) as answer:
            return bool(answer.status == http.HTTPStatus.OK)
    except OSError:
        return False


def once_a_round() -> Callable[[dict[str, Any]], bool]:
    """`_present`, which asks each question once: five programs wait for the same server."""
    known: dict[str, bool] = {}

    def present(what: dict[str, Any]) -> bool:
        key = json.dumps(what)
        if key not in known:
            known[key] = _present(what)
        return known[key]

    return present


def main() -> None:
    """Prepare, then supervise for ever."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    prepare(plan)
    wait_for_network()
    components = [Component(spec) for spec in plan["components"]]
    report = Path(plan["report"])
    while True:
        present = once_a_round()
        changes = [component.keep(present) for component in components]
        if any(changes):
            fresh = report.with_suffix(".new")
            fresh.write_text(json.dumps({each.name: each.state() for each in components}))
            os.replace(fresh, report)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
