"""What is done at low priority, and by whom."""

import os
import threading

import pytest
from recstack_gateway import low_priority


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_only_the_work_is_low() -> None:
    before = _niceness()
    assert low_priority.run(_niceness) == low_priority.NICE
    assert _niceness() == before


def test_an_error_is_the_callers() -> None:
    def fail() -> None:
        raise KeyError("nothing of the kind")

    with pytest.raises(KeyError, match="nothing of the kind"):
        low_priority.run(fail)
