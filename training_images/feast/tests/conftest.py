"""A stack's offline files, its rendered repository, and a real Valkey to fill."""

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


@pytest.fixture
def stack(tmp_path: Path, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> StackFiles:
    monkeypatch.setenv("VALKEY_URL", valkey.url)
    with redis.Redis(port=valkey.port) as client:
        client.flushall()
    return StackFiles(tmp_path)
