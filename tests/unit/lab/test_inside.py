"""The two small programs that hold a node together: its supervisor and its keeper."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from recstack_lab.inside import keeper, supervisor
from recstack_lab.processes import Process


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def until(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def component(tmp_path: Path, argv: list[str], after: list[dict[str, Any]]) -> supervisor.Component:
    return supervisor.Component({"name": "x", "argv": argv, "log": str(tmp_path / "log"), "after": after})


def test_a_component_waits_for_what_it_needs_and_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "_RESTART_SECONDS", 0)
    needed = tmp_path / "socket"
    found = component(tmp_path, ["sh", "-c", "echo said; exit 3"], [{"socket": str(needed)}])
    assert not found.keep(supervisor.once_a_round())
    assert found.state() == {"pid": None, "starts": 0}
    needed.touch()
    assert found.keep(supervisor.once_a_round())
    assert found.starts == 1
    until(lambda: found.keep(supervisor.once_a_round()))
    assert capsys.readouterr().out == "x ended with 3\n"
    assert found.keep(supervisor.once_a_round())
    assert found.starts == 2
    until(lambda: found.keep(supervisor.once_a_round()))
    assert (tmp_path / "log").read_text() == "said\nsaid\n"


def test_a_port_that_nobody_listens_on_is_not_there() -> None:
    assert not supervisor.once_a_round()({"port": 1})
    assert not supervisor.once_a_round()({"https": "https://127.0.0.1:1/readyz", "ca": "/absent"})


def test_the_keeper_tells_the_end_of_the_owner_from_the_end_of_the_node(
    sleeper: subprocess.Popen[bytes],
) -> None:
    owner = Process.of(sleeper.pid)
    assert owner is not None
    told = {"pid": owner.pid, "started": owner.started}
    with subprocess.Popen(["sleep", "0.1"]) as node:
        assert not keeper.outlives_owner(node, told)
    with subprocess.Popen(["sleep", "60"]) as node:
        sleeper.kill()
        assert keeper.outlives_owner(node, told)
        sleeper.wait()
        assert keeper.outlives_owner(node, told), "an owner that ended before is an owner that ended"
        node.kill()


def test_a_later_process_with_the_owners_number_is_not_the_owner(sleeper: subprocess.Popen[bytes]) -> None:
    owner = Process.of(sleeper.pid)
    assert owner is not None
    assert keeper.owner_descriptor({"pid": owner.pid, "started": owner.started - 1}) is None
    assert not Process(owner.pid, owner.started - 1).alive()
    assert owner.alive()
