"""Versions come, take over and go; what breaks is found and mended. Real Triton."""

import shutil
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.conftest import Packages
from tests.serving.pod import Pod
from tests.serving.sample_package import FILMS, NOW, RETAIL, SamplePackage

CONTEXT = {"device_type": 1, "timestamp": NOW}
EXPECTED = {
    "first": SamplePackage(RETAIL, 1).expected(17, CONTEXT, 300)[0][:10],
    "second": SamplePackage(RETAIL, 2).expected(17, CONTEXT, 300)[0][:10],
    "films": SamplePackage(FILMS, 3).expected(17, {}, 300)[0][:10],
}


class Load:
    """Callers that ask without pause; every reply is kept."""

    def __init__(self, pod: Pod, callers: int = 3) -> None:
        self._pod, self._stop = pod, threading.Event()
        self.replies: list[tuple[int, dict[str, Any]]] = []
        self.errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(callers)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._pod.client.base_url, timeout=5, trust_env=False) as client:
            while not self._stop.is_set():
                try:
                    response = client.post("/v1/recommend", json={"user_id": 17, "k": 10, "context": CONTEXT})
                    self.replies.append((response.status_code, response.json()))
                except Exception as error:
                    self.errors.append(error)


def _entry(pod: Pod, packages: Packages, name: str) -> dict[str, str]:
    digest = {"first": packages.first, "second": packages.second, "films": packages.films}[name]
    return pod.add_version(name, digest, packages.artifacts)


def _live(pod: Pod, packages: Packages, name: str, *others: str, drain: tuple[str, ...] = ()) -> None:
    pod.publish(name, *(_entry(pod, packages, one) for one in (name, *others)), drain=drain)
    pod.wait(
        f"{name} answers",
        lambda: pod.recommend(user_id=17, k=10, context=CONTEXT).json().get("version") == name,
    )


def test_a_gpu_that_triton_does_not_see_is_no_failure(pod: Pod, packages: Packages) -> None:
    """Asked for GPUs where there are none (a simulated device, say), the model serves on the CPU."""
    entry = pod.add_version("on-gpu", packages.second, packages.artifacts, gpus=1)
    pod.publish("first", _entry(pod, packages, "first"), entry)
    pod.wait("on-gpu is proven", lambda: pod.states().get("on-gpu") == "Proven")
    pod.publish("first", _entry(pod, packages, "first"), drain=("on-gpu",))
    pod.wait("on-gpu is gone", lambda: pod.states().get("on-gpu") in {None, "Unloaded"})


def test_swap_there_and_back_under_load(pod: Pod, packages: Packages) -> None:
    """No failed request, and none answered by two versions."""
    with Load(pod) as load:
        pod.publish("first", *(_entry(pod, packages, one) for one in ("first", "second")))
        pod.wait("second is proven", lambda: pod.states().get("second") == "Proven")
        assert pod.recommend().json()["version"] == "first"
        _live(pod, packages, "second", drain=("first",))
        pod.wait("first is unloaded", lambda: pod.states().get("first") == "Unloaded")
        _live(pod, packages, "first", "second")
        _live(pod, packages, "first")
        pod.wait("second is gone", lambda: "second" not in pod.states())
    assert not load.errors
    assert len(load.replies) > 50
    for status, reply in load.replies:
        assert status == 200, reply
        assert [one["id"] for one in reply["items"]] == EXPECTED[reply["version"]]
    assert {reply["version"] for _, reply in load.replies} == {"first", "second"}


def test_another_schema_takes_over(pod: Pod, packages: Packages) -> None:
    """Films have no context features; the callers' device is ignored."""
    _live(pod, packages, "films", "first")
    reply = pod.recommend(user_id=17, k=10, context=CONTEXT).json()
    assert [one["id"] for one in reply["items"]] == EXPECTED["films"]
    _live(pod, packages, "first")


@pytest.fixture
def broken(packages: Packages, tmp_path: Path) -> Path:
    """Artifacts with a copy of the second package, to be broken."""
    shutil.copytree(packages.artifacts / "packages", tmp_path / "packages")
    return tmp_path


def _refused(pod: Pod, packages: Packages, artifacts: Path, digest: str) -> str:
    """Offer a broken version beside the live one; returns what the pod says of it."""
    candidate = pod.add_version("broken", digest, artifacts)
    pod.publish("first", _entry(pod, packages, "first"), candidate)
    pod.wait("refused", lambda: pod.states().get("broken") == "Failed")
    message: str = pod.client.get("/versions").json()["broken"]["message"]
    pod.publish("broken", _entry(pod, packages, "first"), candidate)  # not even when told so
    assert pod.recommend().json()["version"] == "first"
    pod.publish("first", _entry(pod, packages, "first"))
    pod.wait("gone", lambda: "broken" not in pod.states())
    return message


def _spoil(pod: Pod, packages: Packages, artifacts: Path, part: str) -> str:
    path = artifacts / "packages" / packages.second.removeprefix("sha256:") / part
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    shutil.rmtree(pod.folder / "models" / "packages" / path.parent.name, ignore_errors=True)
    return _refused(pod, packages, artifacts, packages.second)


@pytest.mark.parametrize("part", ["ranker.onnx", "items.npz"])
def test_a_corrupted_part_is_refused(pod: Pod, packages: Packages, broken: Path, part: str) -> None:
    assert f"{part} is corrupted" in _spoil(pod, packages, broken, part)


def test_a_corrupted_manifest_is_refused(pod: Pod, packages: Packages, broken: Path) -> None:
    assert "manifest.json is corrupted" in _spoil(pod, packages, broken, "manifest.json")


def test_an_unfinished_package_is_refused(pod: Pod, packages: Packages, broken: Path) -> None:
    assert "manifest.json is missing" in _refused(pod, packages, broken, f"sha256:{'0' * 64}")


def test_wrong_answers_are_refused(pod: Pod, packages: Packages, tmp_path: Path) -> None:
    package = SamplePackage(RETAIL, 9)
    digest = package.write(tmp_path, "honest")
    package.tables["device_type"] = -package.tables["device_type"]
    probe = package._probe()
    package.tables["device_type"] = -package.tables["device_type"]
    package._probe = lambda: probe  # type: ignore[method-assign]
    lying = package.write(tmp_path, "lying")
    assert lying != digest
    assert "differ from training's" in _refused(pod, packages, tmp_path, lying)


def test_a_dead_model_process_is_found_and_mended(pod: Pod, packages: Packages) -> None:
    _live(pod, packages, "first")
    pod.wait("one model process is left", lambda: pod.count_stubs() == 1)
    pod.kill_stubs()
    pod.wait("answers again", lambda: pod.recommend(user_id=17).status_code == 200, 15)
    # It answers from its load on; the proof comes after that.
    pod.wait("it is proven again", lambda: pod.states() == {"first": "Proven"})


def test_triton_dies_and_comes_back(pod: Pod, packages: Packages) -> None:
    _live(pod, packages, "first", "second")
    pod.wait("both proven", lambda: set(pod.states().values()) == {"Proven"})
    pod.kill("triton_server")
    response = pod.recommend(user_id=17)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "retry-after" in response.headers
    assert pod.client.get("/healthz").status_code == 200
    pod.wait("not ready", lambda: pod.client.get("/readyz").status_code == 503, 15)
    left = {path: path.stat().st_ino for path in pod.shared_memory()}
    assert left
    pod.start("triton_server")
    pod.wait("answers again", lambda: pod.recommend(user_id=17).status_code == 200, 20)
    pod.wait("both proven again", lambda: set(pod.states().values()) == {"Proven"})
    assert not [path for path, number in left.items() if path.exists() and path.stat().st_ino == number]
    _live(pod, packages, "first")


def test_a_gateway_starts_without_api_server(pod: Pod, packages: Packages) -> None:
    """From the mounted plan, with what is on disk; the API server's plan counts again when it is back."""
    _live(pod, packages, "first")
    plan = pod.plan("first", _entry(pod, packages, "first"))
    (pod.folder / "plan" / "plan.json").write_text(plan)
    assert pod.kill("main", 15) == 0
    pod.api.stop()
    pod.start("main")
    pod.wait_ready()
    assert pod.recommend().json()["version"] == "first"
    pod.api.start()
    _live(pod, packages, "second", "first")
    _live(pod, packages, "first")


def test_a_plan_that_cannot_be_read_changes_nothing(pod: Pod, packages: Packages) -> None:
    _live(pod, packages, "first")
    pod.api.put("retail-plan", data={"plan.json": '{"generation": "x"}'})
    pod.api.put("retail-plan", data={})
    assert pod.recommend().json()["version"] == "first"
    _live(pod, packages, "second", "first")
    _live(pod, packages, "first")


def test_a_new_plan_overrides_a_leftover_model(pod: Pod, packages: Packages) -> None:
    """Models that an earlier gateway process had loaded, and no plan wants, leave Triton."""
    _live(pod, packages, "first", "second")
    pod.wait("both proven", lambda: set(pod.states().values()) == {"Proven"})
    pod.kill("main")
    pod.publish("first", _entry(pod, packages, "first"))
    pod.start("main")
    pod.wait_ready()
    pod.wait("one model process is left", lambda: pod.count_stubs() == 1)
