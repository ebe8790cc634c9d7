"""NVTabular beside a model: both ends of the socket."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recstack_crds.v1alpha1.features import Feature
from recstack_training import operators
from recstack_training.beside import Operators, Server
from recstack_triton_templates.stages import nvtabular
from recstack_triton_templates.stages.nvtabular import Beside, NotBeside

PLACE = "nvtabular/root.0"
VALUES = np.array([8.0, -27.0, 8.0, 0.5, 1e30, np.inf, np.nan])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    feature = {"name": "root", "column": "x", "ops": [{"op": "LambdaOp", "function": "numpy:cbrt"}]}
    operators.save([Feature.model_validate(feature)], tmp_path / "packages" / "one")
    return tmp_path / "packages" / "one"


@pytest.fixture
def address(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def server(address: Path) -> Iterator[Server]:
    with Server(address, Operators(address.parent)) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.usefixtures("server")
def test_it_gives_what_the_workflow_gives(package: Path, address: Path) -> None:
    there = Beside(str(address), package)
    there.wait([PLACE], 5)
    got = there(PLACE)(VALUES)
    np.testing.assert_array_equal(got, operators.operator_in(package)(PLACE)(VALUES))
    np.testing.assert_array_equal(got[:4], np.cbrt(VALUES[:4]).astype(np.float32))
    assert got[5:].tolist() == [0, 0]
    assert there(PLACE)(np.array([])).tolist() == []


def test_what_was_said_is_kept(package: Path, address: Path, server: Server) -> None:
    there = Beside(str(address), package)
    first = there(PLACE)(VALUES)
    server.server_close()
    address.unlink()
    np.testing.assert_array_equal(there(PLACE)(VALUES), first)
    with pytest.raises(NotBeside, match="does not answer beside this model"):
        there(PLACE)(np.array([3.0]))


def test_only_so_many_are_kept(
    package: Path, address: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    del server
    monkeypatch.setattr(nvtabular, "KEPT", 3)
    there = Beside(str(address), package)
    for start in range(0, 40, 4):
        values = np.arange(start, start + 6, dtype=np.float64)
        np.testing.assert_array_equal(there(PLACE)(values), np.cbrt(values).astype(np.float32))
        assert len(there._known[PLACE]) < 14


@pytest.mark.usefixtures("server")
def test_what_cannot_be_run_is_told_and_the_next_call_answered(
    package: Path, address: Path, tmp_path: Path
) -> None:
    there = Beside(str(address), package)
    with pytest.raises(NotBeside, match=r"cannot run nvtabular/other.0: FileNotFoundError"):
        there("nvtabular/other.0")(VALUES)
    with pytest.raises(NotBeside, match="is not below"):
        Beside(str(address), tmp_path.parent)("elsewhere")(VALUES)
    assert there(PLACE)(np.array([27.0])).tolist() == [3]


def test_it_waits_for_a_container_that_starts(package: Path, address: Path) -> None:
    there = Beside(str(address), package)
    with pytest.raises(NotBeside):
        there.wait([PLACE], 0.3)
    address.write_text("left by a container before")
    with Server(address, Operators(address.parent)) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        there.wait([PLACE], 5)
        made.shutdown()
        thread.join()


def test_without_a_container_it_says_so(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(nvtabular.SOCKET, raising=False)
    with pytest.raises(NotBeside, match="operators that are not compiled, and NVTABULAR_SOCKET is not set"):
        nvtabular.beside(package)
