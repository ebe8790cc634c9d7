"""One Valkey and three packages for all; a pod of its own for each module."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serving.api_server import ApiServer
from tests.serving.pod import Pod
from tests.serving.sample_package import FILMS, ILLUSTRATED, RETAIL, SamplePackage
from tests.serving.valkey_server import MODULE, ValkeyServer


@dataclass(frozen=True)
class Packages:
    """Digests of the packages under ``artifacts``."""

    artifacts: Path
    first: str
    second: str
    films: str
    ivf: str
    illustrated: str


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    artifacts = tmp_path_factory.mktemp("artifacts")
    first, second = (SamplePackage(RETAIL, seed).write(artifacts, f"retail-{seed}") for seed in (1, 2))
    films = SamplePackage(FILMS, 3).write(artifacts, "films")
    ivf = SamplePackage(RETAIL, 1, "IVF").write(artifacts, "ivf")
    illustrated = SamplePackage(ILLUSTRATED, 4).write(artifacts, "illustrated")
    return Packages(artifacts, first, second, films, ivf, illustrated)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey"), MODULE) as server:
        yield server


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory, packages: Packages, valkey: ValkeyServer) -> Iterator[Pod]:
    """A pod whose live version is ``first``, which is ``packages.first``."""
    api = ApiServer()
    api.start()
    made = Pod(tmp_path_factory.mktemp("pod"), api, valkey.url)
    try:
        made.publish("first", made.add_version("first", packages.first, packages.artifacts))
        made.start("triton_server")
        made.start("main")
        made.wait_ready()
        yield made
    finally:
        made.stop()
        api.stop()
