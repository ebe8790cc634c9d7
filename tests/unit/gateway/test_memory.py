"""Whether a version fits beside another, from what control groups and processes tell."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from recstack_gateway import memory
from recstack_gateway.memory import Memory

MEBI = 2**20


def _process(proc: Path, number: int, command: str, own: int) -> None:
    folder = proc / str(number)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    (folder / "status").write_text(f"Name:\tx\nRssAnon:\t{own} kB\nRssFile:\t9999 kB\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    stub = "/opt/backends/python/triton_python_backend_stub /models/repository"
    root = tmp_path / "proc"
    _process(root, 1, "/opt/tritonserver/bin/tritonserver --x", 50_000)
    _process(root, 7, f"{stub}/recommender--shop-1a/1/model.py recstack-8001-", 80_000)
    _process(root, 8, f"{stub}/query_tower--shop-2b/1/model.py recstack-8001-", 30_000)
    _process(root, 9, f"{stub}/dlrm_ranking--shop-2b/1/model.py recstack-8001-", 40_000)
    (root / "meminfo").write_text("")
    return root


def _new(root: Path, limit: str) -> Path:
    (root / "memory.max").write_text(f"{limit}\n")
    (root / "memory.current").write_text(f"{900 * MEBI}\n")
    (root / "memory.stat").write_text(f"anon 5\ninactive_file {100 * MEBI}\n")
    return root


def _old(root: Path, limit: str) -> Path:
    folder = root / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{900 * MEBI}\n")
    (folder / "memory.stat").write_text(f"cache 5\ntotal_inactive_file {100 * MEBI}\n")
    return root


@pytest.mark.parametrize("make", [_new, _old])
def test_both_kinds_of_control_groups(tmp_path: Path, proc: Path, make: Callable[[Path, str], Path]) -> None:
    root = make(tmp_path, str(2048 * MEBI))
    found = memory.observe(proc, root)
    assert (found.limit, found.used) == (2048 * MEBI, 800 * MEBI)
    assert found.versions == {"shop-1a": 80_000 * 1024, "shop-2b": 70_000 * 1024}


def test_without_a_limit(tmp_path: Path, proc: Path) -> None:
    assert memory.observe(proc, _new(tmp_path, "max")).limit is None
    (tmp_path / "memory.max").unlink()
    assert memory.observe(proc, _old(tmp_path, str(2**63 - 4096))).limit is None


def test_only_what_is_fresh_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    assert memory.read(path) is None
    path.write_text(json.dumps({"limit": 1, "used": 2, "versions": {}}))
    assert memory.read(path) == Memory(limit=1, used=2, versions={})
    os.utime(path, (time.time() - 60, time.time() - 60))
    assert memory.read(path) is None
    path.write_text("{")
    assert memory.read(path) is None


HELD = {"a": 400 * MEBI}


@pytest.mark.parametrize(
    ("used", "size", "fits"),
    [
        (1000, 10, True),
        (1500, 10, True),
        (1600, 10, False),
        (1000, 200, True),
        (1000, 400, False),  # 390 Mi more on disk: 780 Mi more in memory
        (1700, 1, False),  # a small one still holds half of what a large one does
    ],
)
def test_what_fits(used: int, size: int, fits: bool) -> None:
    found = Memory(limit=2048 * MEBI, used=used * MEBI, versions=HELD)
    text = memory.shortage(found, size * MEBI, {"a": 10 * MEBI})
    assert (text == "") is fits
    assert fits or f"of {2048} Mi are free" in text


def test_what_is_not_known_holds_nobody_up() -> None:
    assert memory.shortage(None, 1, {"a": 1}) == ""
    assert memory.shortage(Memory(limit=None, used=10**12, versions=HELD), 1, {"a": 1}) == ""
    assert memory.shortage(Memory(limit=10, used=10, versions=HELD), 1, {}) == ""
