"""Memory of the ``triton`` container, measured in it and told to the gateway by a file of the shared volume.

Each container sees only its own processes and its own limit, and the models run in Triton's. Entry of a small
process that ``triton_server`` starts beside Triton.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError
from recstack_triton_templates.pacing import version_of

from recstack_gateway.settings import from_environment

EVERY = 1.0
STALE = 10.0
UNLIMITED = 1 << 60
"""Control groups of version 1 write a number near 2^63 where there is no limit."""


class Memory(BaseModel):
    """Bytes. ``used`` is without file pages that can be given back; ``limit`` None: there is none."""

    limit: int | None
    used: int
    versions: dict[str, int]
    """What the model processes of each version hold for themselves."""


def observe(proc: Path, cgroup: Path) -> Memory:
    """What is used now.

    Raises:
        OSError: there is no such control group.
    """
    return Memory(limit=_limit(cgroup), used=_used(cgroup), versions=_versions(proc))


def _limit(cgroup: Path) -> int | None:
    new, old = cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"
    text = (new if new.exists() else old).read_text().strip()
    return None if text == "max" or int(text) >= UNLIMITED else int(text)


def _used(cgroup: Path) -> int:
    new, old = cgroup / "memory.current", cgroup / "memory"
    if new.exists():
        used, stat, name = new, cgroup / "memory.stat", "inactive_file"
    else:
        used, stat, name = old / "memory.usage_in_bytes", old / "memory.stat", "total_inactive_file"
    pages = dict(line.split() for line in stat.read_text().splitlines())
    return max(0, int(used.read_text()) - int(pages.get(name, 0)))


def _versions(proc: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        try:
            version = version_of(process)
            if version is None:
                continue
            lines = (process / "status").read_text().splitlines()
        except OSError:
            continue  # it ended meanwhile
        own = next((line.split()[1] for line in lines if line.startswith("RssAnon:")), "0")
        found[version] = found.get(version, 0) + int(own) * 1024
    return found


def read(path: Path) -> Memory | None:
    """What was told last; None: nothing was, or it is old."""
    try:
        if time.time() - path.stat().st_mtime > STALE:
            return None
        return Memory.model_validate_json(path.read_text())
    except (OSError, ValidationError):
        return None


def shortage(memory: Memory | None, size: int, others: Mapping[str, int]) -> str:
    """Why a version does not fit beside those that are loaded; empty: it does, or nothing is known of it.

    Args:
        memory: as ``read`` gave it.
        size: bytes of its package.
        others: bytes of the packages of loaded versions by name.

    It will hold as much as a loaded one, and twice what its package is larger; a twentieth of the limit is
    left free.
    """
    if memory is None or memory.limit is None:
        return ""
    needs = [
        max(held // 2, held + 2 * (size - others[name]))
        for name, held in memory.versions.items()
        if name in others
    ]
    if not needs:
        return ""
    need, free = max(needs), memory.limit - memory.used - memory.limit // 20
    if need <= free:
        return ""
    return (
        f"it needs about {_mebi(need)} beside the version that answers, and {_mebi(max(0, free))} of "
        f"{_mebi(memory.limit)} are free"
    )


def _mebi(bytes: int) -> str:
    return f"{bytes / 2**20:.0f} Mi"


def _tell(path: Path, memory: Memory) -> None:
    writing = path.with_suffix(".writing")
    writing.write_text(memory.model_dump_json())
    writing.replace(path)


def main() -> None:
    """Tell until Triton ends."""
    settings, parent = from_environment(), os.getppid()
    path = settings.memory_file
    while os.getppid() == parent:
        # Without control groups, or in the moment in which one changes, nothing can be told.
        with suppress(OSError, ValueError):
            _tell(path, observe(Path("/proc"), Path("/sys/fs/cgroup")))
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
