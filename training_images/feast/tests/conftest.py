"""A stack's offline files, its rendered repository, and a real Valkey to fill."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

sys.path.insert(0, str(Path(__file__).parent))

from stackfiles import StackFiles

from tests.serving.valkey_server import ValkeyServer


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


THIRD_PARTY = "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
"""Feast's registry in S3 leaves its temporary files open."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As a mark: only these come after the command line's ``-W error``."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings(THIRD_PARTY))


@pytest.fixture
def stack(tmp_path: Path, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackFiles]:
    monkeypatch.setenv("VALKEY_URL", valkey.url)
    with redis.Redis(port=valkey.port) as client:
        client.flushall()
    yield StackFiles(tmp_path)
    gc.collect()  # while the mark counts
