"""A paced thread takes its share and no more; nobody else is held up."""

import importlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from recstack_triton_templates import pacing

STUB = "/opt/tritonserver/backends/python/triton_python_backend_stub"


@pytest.fixture
def paced() -> Iterator[None]:
    pacing.begin()
    yield
    pacing.end()


def _work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def _share(pieces: int) -> float:
    """Of one core, that work in small pieces took."""
    began, used = time.monotonic(), time.thread_time()
    for _ in range(pieces):
        _work(0.004)
        pacing.rest()
    return (time.thread_time() - used) / (time.monotonic() - began)


@pytest.mark.usefixtures("paced")
def test_work_with_rests_takes_its_share_at_most() -> None:
    assert _share(10) <= pacing.SHARE * 1.1


def test_nobody_else_rests() -> None:
    shares: list[float] = []
    pacing.begin()
    try:
        other = threading.Thread(target=lambda: shares.append(_share(5)))
        other.start()
        other.join()
    finally:
        pacing.end()
    assert shares[0] > pacing.SHARE
    slept = time.monotonic()
    _work(0.004)
    used = time.thread_time()
    pacing.rest()
    assert time.thread_time() - used < 0.002
    assert time.monotonic() - slept < 1


@pytest.mark.usefixtures("paced")
def test_an_import_is_such_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_more_module.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _work(0.02)
    began = time.monotonic()
    assert importlib.import_module("one_more_module").VALUE == 1
    assert time.monotonic() - began >= 0.02 * (1 / pacing.SHARE - 1)
    del sys.modules["one_more_module"]


def test_imports_are_as_before_after_it() -> None:
    before = list(sys.meta_path)
    pacing.begin()
    assert sys.meta_path != before
    pacing.end()
    pacing.end()
    assert sys.meta_path == before


def _process(proc: Path, name: str, *words: str) -> None:
    (proc / name).mkdir(parents=True)
    (proc / name / "cmdline").write_bytes("\0".join((*words, "")).encode())


def _model(version: str, stage: str = "recommender") -> str:
    return f"/models/repository/{stage}--{version}/1/model.py"


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], False),
        ([("/opt/tritonserver/bin/tritonserver",)], False),
        ([(STUB, _model("shop-2", "query_tower"))], False),  # the other models of the same ensemble
        ([(STUB, _model("shop-1"))], True),
    ],
)
def test_a_version_beside_it_makes_the_difference(
    tmp_path: Path, others: list[tuple[str, ...]], expected: bool
) -> None:
    _process(tmp_path, "self", STUB, _model("shop-2"))
    _process(tmp_path, "7", STUB, _model("shop-2"))
    (tmp_path / "8").mkdir()  # it ended meanwhile
    for number, words in enumerate(others, 9):
        _process(tmp_path, str(number), *words)
    assert pacing.somebody_answers(tmp_path) is expected


def test_other_programs_are_never_paced(tmp_path: Path) -> None:
    _process(tmp_path, "self", "python", "-m", "recstack_gateway.main")
    _process(tmp_path, "9", STUB, _model("shop-1"))
    assert not pacing.somebody_answers(tmp_path)
