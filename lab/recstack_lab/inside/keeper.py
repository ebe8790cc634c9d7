"""Parent of a node on the caller's side: the node ends with it, and it ends the lab when the owner ends.

It runs as `python -I -S keeper.py keeper.json` and uses the standard library only. It is a member of the
lab's control groups from its first moment: by them a lab is found and ended, however early its start was cut.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any


def join(groups: list[str]) -> None:
    """Move this process into the control groups (their cgroup.procs files)."""
    for group in groups:
        Path(group).write_text("0")


def owner_descriptor(owner: dict[str, int]) -> int | None:
    """A descriptor that becomes readable when the owner ends; None if it has ended."""
    try:
        descriptor = os.pidfd_open(owner["pid"])
        # Its number may have gone to another process meanwhile; the descriptor holds on to whichever it is.
        fields = Path(f"/proc/{owner['pid']}/stat").read_text().rpartition(")")[2].split()
    except (ProcessLookupError, FileNotFoundError):
        return None
    return descriptor if int(fields[19]) == owner["started"] else None


def outlives_owner(node: subprocess.Popen[bytes], owner: dict[str, int] | None) -> bool:
    """Wait for the end of the node or of the owner; whether the node is the one that still runs."""
    watched = [os.pidfd_open(node.pid)]
    if owner:
        descriptor = owner_descriptor(owner)
        if descriptor is None:
            return True
        watched.append(descriptor)
    poll = select.poll()
    for descriptor in watched:
        poll.register(descriptor, select.POLLIN)
    poll.poll()
    return node.poll() is None


def main() -> None:
    """Argument: a JSON file with `joins`, `leaves`, `node` (argv), `owner` or null, and `down` (argv)."""
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    join(spec["joins"])
    node = subprocess.Popen(spec["node"], stdin=subprocess.DEVNULL)
    if not outlives_owner(node, spec["owner"]):
        sys.exit(f"the node ended with {node.wait()}")
    print("the owner ended: taking the lab down", flush=True)
    node.kill()
    node.wait()
    # Taking down removes the control groups, and a group with a member cannot be removed.
    join(spec["leaves"])
    os.execve(spec["down"][0], spec["down"], os.environ | spec["environment"])


if __name__ == "__main__":
    main()
