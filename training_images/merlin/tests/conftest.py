"""Two small trained runs that the tests share: the retail default on generated data, and films."""

import sys
from pathlib import Path

import pytest
from recstack_training.cli import main
from recstack_training.context import Context

# pytest's importlib mode puts no folder on the path; modules that tests share lie beside them.
sys.path.insert(0, str(Path(__file__).parent))

import films
from runs import RETAIL, command, context


@pytest.fixture(scope="session")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Context:
    ctx = context(RETAIL, tmp_path_factory.mktemp("retail"))
    assert main(command(ctx, "all")) == 0
    return ctx


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Context:
    root = tmp_path_factory.mktemp("films")
    films.write(root / "data" / "films")
    ctx = context(films.RECIPE, root, data=root / "data")
    assert main(command(ctx, "all")) == 0
    return ctx
