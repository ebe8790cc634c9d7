"""Two small trained runs that the tests share: the retail default on generated data, and films."""

import sys
from pathlib import Path

import pytest
from recstack_training.cli import main
from recstack_training.context import Context

# pytest's importlib mode puts no folder on the path; modules that tests share lie beside them.
sys.path.insert(0, str(Path(__file__).parent))

import films
import illustrated
from runs import RETAIL, command, context

THIRD_PARTY = (
    "ignore:np.find_common_type is deprecated:DeprecationWarning",  # pandas 1.5 on numpy 1.26
    "ignore:non-integer arguments to randrange:DeprecationWarning",  # Merlin's loader, choosing seeds
)
"""What packages of the image warn of in their own code, and nobody here can change."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As marks: only these come after the command line's ``-W error``."""
    for item in items:
        for warning in THIRD_PARTY:
            item.add_marker(pytest.mark.filterwarnings(warning))


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


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where claims with checkpoints are mounted; there is one, ``checkpoints``."""
    root = tmp_path_factory.mktemp("weights")
    illustrated.write_checkpoints(root / "checkpoints")
    return root
