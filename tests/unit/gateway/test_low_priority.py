"""What is done at low priority, and by whom."""

import os
import threading

import pytest
from recstack_triton_templates import low_priority


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_only_the_work_is_low() -> None:
    before = _niceness()
    assert low_priority.run(_niceness) == low_priority.NICE
    assert _niceness() == before


def test_an_error_is_the_callers() -> None:
    with pytest.raises(ModuleNotFoundError, match="nothing_of_the_kind"):
        low_priority.module("nothing_of_the_kind")
