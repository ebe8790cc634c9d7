"""A model that is loaded beside one that answers takes little of the processor at a time.

A load is half a second of processor time, nearly all of it imports. Niceness would not help those who answer:
it counts within a container only, and what a load takes at once, the container owes the others next, when it
should answer. So the loading thread sleeps between small pieces of work: before each import, and where
``rest`` is called.
"""

import gc
import os
import sys
import threading
import time
from pathlib import Path

STUB = "triton_python_backend_stub"
SHARE = 0.15
"""Of one core, for a load."""
PIECE_SECONDS = 0.002
"""Shorter pieces are put together: a sleep costs something, too."""


class _Pace(threading.local):
    """Processor time of this thread at its last rest; None: it is not paced."""

    since: float | None = None


_PACE = _Pace()


class _Imports:
    """A finder of modules that finds none, and rests whenever one is looked for."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Not here."""
        del name, path, target
        rest()


def begin_beside_another() -> None:
    """Pace this process from its first imports on, if it is a model's and another version answers beside it.

    The backend's own stub imports NumPy before it reads the model's file, so that a ``.pth`` file of the
    image calls this (https://docs.python.org/3/library/site.html).
    """
    if somebody_answers():
        begin()


def begin() -> None:
    """Pace this thread until ``end``."""
    _PACE.since = time.thread_time()
    sys.meta_path.insert(0, _Imports)


def end() -> None:
    """The load is over: the thread works as fast as it can again.

    What was loaded stays until the process ends, so no collection looks at it any more, above all not the
    last one, which is most of what an end costs (https://docs.python.org/3/library/gc.html#gc.freeze).
    """
    gc.freeze()
    if _PACE.since is not None:
        _PACE.since = None
        sys.meta_path.remove(_Imports)


def rest() -> None:
    """Sleep as long as the work since the last rest was too fast; nothing in a thread that is not paced."""
    if _PACE.since is None:
        return
    used = time.thread_time() - _PACE.since
    if used >= PIECE_SECONDS:
        time.sleep(used * (1 / SHARE - 1))
        _PACE.since = time.thread_time()


def somebody_answers(proc: Path = Path("/proc")) -> bool:
    """Whether this is a model's process, and another version has one beside it: at a pod's start none has,
    and nothing must slow that down."""
    own = version_of(proc / "self")
    if own is None:
        return False
    others = (version_of(process) for process in proc.iterdir() if process.name.isdigit())
    return any(version not in (None, own) for version in others)


def version_of(process: Path) -> str | None:
    """Of the model that a process was started for; None: for none. Its model's file is the first argument."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None  # it ended meanwhile
    if os.path.basename(words[0]) != STUB or len(words) < 2:
        return None
    return Path(words[1]).parent.parent.name.partition("--")[2]
