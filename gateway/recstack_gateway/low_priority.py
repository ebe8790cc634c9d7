"""Work that must not take the processor from those who answer meanwhile."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
NICE = 10
"""A tenth of the processor time of somebody who has the usual 0: on a machine that is busy for good a version
still comes up."""


def run(work: Callable[[], T]) -> T:
    """The result of ``work``, which a thread of its own does; threads that it starts are as low.

    Linux has a niceness for each thread (setpriority(2), "C library/kernel differences"), and none may raise
    its own again without privilege: so the thread ends with the work, and nobody who answers has it.
    """
    with ThreadPoolExecutor(1, initializer=_yield) as pool:
        return pool.submit(work).result()


def _yield() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
