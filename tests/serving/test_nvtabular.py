"""An operator that is not compiled: the real NVTabular runs it beside a real Triton."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import merlin_python
import numpy as np
import pytest

from tests.serving.api_server import ApiServer
from tests.serving.pod import Pod
from tests.serving.sample_package import BESIDE, NOW, RETAIL, SamplePackage
from tests.serving.valkey_server import MODULE, ValkeyServer

SAVE = """
import json, sys
from pathlib import Path
from recstack_crds.v1alpha1.features import Feature
from recstack_training import operators
operators.save([Feature.model_validate(json.loads(sys.argv[1]))], Path(sys.argv[2]))
"""
FEATURE = {
    "name": "age_root",
    "column": "age",
    "ops": [{"op": "FillMissing", "value": 27}, {"op": "LambdaOp", "function": "numpy:cbrt"}],
}
CONTEXT = {"device_type": 1, "timestamp": NOW}
MADE = SamplePackage(BESIDE, 9)


def _python(*arguments: str) -> subprocess.Popen[bytes]:
    command = [merlin_python.python(), *arguments]
    return subprocess.Popen(command, env=merlin_python.environment(), start_new_session=True)


class Container:
    """The third container of a pod."""

    def __init__(self, pod: Pod) -> None:
        self.socket = pod.folder / "models" / "nvtabular.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.socket.parent.mkdir(exist_ok=True)
        self._process = _python("-m", "recstack_training.beside", str(self.socket))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def digest(artifacts: Path) -> str:
    operators = artifacts / "operators"
    assert _python("-c", SAVE, json.dumps(FEATURE), str(operators)).wait(timeout=120) == 0
    return MADE.write(artifacts, "beside", operators)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey"), MODULE) as server:
        yield server


@pytest.fixture
def container(pod: Pod) -> Iterator[Container]:
    made = Container(pod)
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture
def pod(tmp_path: Path, valkey: ValkeyServer) -> Iterator[Pod]:
    api = ApiServer()
    api.start()
    made = Pod(tmp_path, api, valkey.url)
    try:
        yield made
    finally:
        made.stop()
        api.stop()


def _start(pod: Pod, container: Container) -> None:
    for module in ("triton_server", "main"):
        pod.start(module, NVTABULAR_SOCKET=str(container.socket))


def _check(pod: Pod, user: int | None) -> None:
    reply = pod.recommend(user_id=user, k=10, context=CONTEXT).json()
    items, scores = MADE.expected(user, CONTEXT, 300)
    assert [one["id"] for one in reply["items"]] == items[:10]
    np.testing.assert_allclose([one["score"] for one in reply["items"]], scores[:10], atol=1e-5)


@pytest.mark.parametrize("graph", ["fused", "ensemble"])
def test_it_is_served_as_it_was_trained(
    pod: Pod, container: Container, artifacts: Path, digest: str, graph: str
) -> None:
    pod.publish("one", pod.add_version("one", digest, artifacts, graph=graph))
    _start(pod, container)
    container.start()  # later than Triton, whose models wait for it
    pod.wait("ready", lambda: pod.client.get("/readyz").status_code == 200, 90)
    for user in (*range(1, 12), 999_999, None):
        _check(pod, user)


def test_it_may_be_away(pod: Pod, container: Container, artifacts: Path, digest: str) -> None:
    """Known values go on being answered, and others once it is back."""
    pod.publish("one", pod.add_version("one", digest, artifacts))
    container.start()
    _start(pod, container)
    pod.wait("ready", lambda: pod.client.get("/readyz").status_code == 200, 90)
    _check(pod, 17)
    container.kill()
    _check(pod, 17)
    container.start()
    pod.wait("it is back", lambda: pod.recommend(user_id=2, k=1, context=CONTEXT).status_code == 200, 60)
    for user in range(1, 12):
        _check(pod, user)


def test_a_pod_without_it_says_so_and_serves_on(pod: Pod, artifacts: Path, digest: str) -> None:
    plain = SamplePackage(RETAIL, 1).write(artifacts, "plain")
    entries = [pod.add_version("plain", plain, artifacts), pod.add_version("one", digest, artifacts)]
    pod.publish("plain", *entries)
    pod.start("triton_server")
    pod.start("main")
    pod.wait_ready()
    pod.wait("it says so", lambda: "NVTabular" in pod.client.get("/versions").json()["one"]["message"])
    assert pod.states() == {"plain": "Proven", "one": "Pulling"}
    assert pod.recommend(user_id=17, k=3, context=CONTEXT).json()["version"] == "plain"
