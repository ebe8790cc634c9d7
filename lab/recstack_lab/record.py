"""What is known on disk about a lab, written before each step so that a lab can always be taken down."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from recstack_lab.config import Lab, LabError, cache_root
from recstack_lab.processes import Process

_LOCK_INDEX_RANGE = 16


@dataclass(frozen=True)
class Record:
    """The last known state of a lab."""

    index: int
    gpus: int
    keeper: Process | None = None
    init: Process | None = None
    # Whose end is the lab's end, if anybody's.
    owner: Process | None = None


def _path(name: str) -> Path:
    return Lab(name).directory / "record.json"


def load(name: str) -> Record | None:
    """The record of a lab, if there is one."""
    try:
        data = json.loads(_path(name).read_text())
    except FileNotFoundError:
        return None
    for key in ("keeper", "init", "owner"):
        data[key] = Process(**data[key]) if data[key] else None
    return Record(**data)


def save(name: str, record: Record) -> None:
    """Replace the record at once."""
    path = _path(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(asdict(record)))
    fresh.replace(path)


def remove(name: str) -> None:
    """Forget the lab."""
    _path(name).unlink(missing_ok=True)


def known(name: str) -> Lab:
    """The lab of that name as it was started, or as it would be started."""
    record = load(name)
    return Lab(name, record.index, record.gpus) if record else Lab(name)


def free_index(name: str) -> int:
    """An index that no other recorded lab has; 0 for the lab that is called default, if possible."""
    root = cache_root() / "lab"
    others = [path.parent.name for path in root.glob("*/record.json") if path.parent.name != name]
    taken = {record.index for record in map(load, others) if record}
    first = 0 if name == "default" else 1
    for index in [*range(first, _LOCK_INDEX_RANGE), 0]:
        if index not in taken:
            return int(index)
    raise LabError("all addresses are taken by other labs")


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one command at a time change the labs; the lock goes with the process, however it ends."""
    directory = Lab(name).directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # One lock for all labs, because they share out addresses.
    with (directory.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
