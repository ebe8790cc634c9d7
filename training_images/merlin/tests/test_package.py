"""The package: whole, named by its content, and what it claims is true of its files."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnx
import pytest
from recstack_training.artifacts import Folder
from recstack_training.bundle import files
from recstack_training.cli import main
from recstack_training.context import Context
from recstack_training.dataset import arrays
from recstack_training.packages import Damaged, publish, verify
from recstack_training.served import Bundle
from recstack_training.steps.evaluate import METRICS, WHOLE
from runs import command

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "recompute_metrics.py"


def package_of(ctx: Context) -> Path:
    """Folder of the one package."""
    done = json.loads((ctx.folder("package") / "done.json").read_text())
    name: str = done["package"].removeprefix("sha256:")
    return Path(ctx.artifacts.removeprefix("file://")) / "packages" / name


@pytest.fixture(params=["retail", "film"])
def run(request: pytest.FixtureRequest) -> Context:
    ctx: Context = request.getfixturevalue(request.param)
    return ctx


def test_every_part_is_as_the_manifest_says(run: Context) -> None:
    folder = package_of(run)
    content = (folder / "manifest.json").read_bytes()
    manifest = json.loads(content)
    assert hashlib.sha256(content).hexdigest() == folder.name
    assert json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode() == content
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    del found["manifest.json"], found[".stack"]
    assert set(found) == set(manifest["parts"])
    for name, path in found.items():
        data = path.read_bytes()
        wanted = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        assert manifest["parts"][name] == wanted | ({"role": "training"} if name[:9] == "training/" else {})
    assert set(manifest["metrics"]) == {*METRICS, *WHOLE}
    assert manifest["lineage"]["image"] == "image@1"
    assert sum("sha256" in entry for entry in manifest["lineage"]["data"]) >= 5


def test_parts_fit_together(run: Context) -> None:
    folder = package_of(run)
    manifest = json.loads((folder / "manifest.json").read_text())
    size, dim = manifest["retrieval"]["items"], manifest["retrieval"]["dim"]
    index = faiss.read_index(str(folder / "index.faiss"))
    vectors = np.load(folder / "item_embeddings.npy")
    assert (index.ntotal, index.d) == vectors.shape == (size, dim)
    declared = run.recipe.models.retrieval.index.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert manifest["retrieval"]["index"] == (declared if declared["type"] == "IVF" else {"type": "Flat"})
    assert manifest["retrieval"]["indexRecall"] == manifest["metrics"]["indexRecall"] > 0.9
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    items = arrays(folder / "items.npz")
    assert set(items) == {"__id__", *manifest["features"]["item"]}
    assert (np.diff(items["__id__"]) > 0).all()
    assert len(json.loads((folder / "titles.json").read_text())) == len(items["__id__"]) == size
    users = arrays(folder / "users.npz")
    assert (np.diff(users["__id__"]) > 0).all()
    wanted = {f.column for f in run.recipe.features.user}
    assert {name for name in users if not name.startswith("__")} == wanted
    for name, kinds in (("query_tower.onnx", ("user",)), ("ranker.onnx", ("user", "item", "context"))):
        graph = onnx.load(folder / name).graph
        features = [feature for kind in kinds for feature in manifest["features"][kind]]
        assert sorted(v.name for v in graph.input) == sorted(features)
    transforms = json.loads((folder / "transforms.json").read_text())
    assert set(transforms) == {f for kind in manifest["features"].values() for f in kind}


def test_probe_is_what_the_published_files_answer(run: Context) -> None:
    folder = package_of(run)
    published = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    bundle = Bundle(published, run.recipe)
    requests = json.loads((folder / "probe.json").read_text())
    known = set(arrays(folder / "users.npz")["__id__"].tolist())
    kinds = [None if r["user_id"] is None else r["user_id"] in known for r in requests]
    assert kinds == [True, True, False, None]
    for request in requests:
        raw = {k: np.array([v]) for k, v in request["context"].items() if v is not None}
        user = np.array([-1 if request["user_id"] is None else request["user_id"]])
        answer = bundle.recommend(user, raw, request["candidates"])
        assert bundle.item_ids[answer.rows[0]].tolist() == request["items"]
        np.testing.assert_allclose(answer.scores[0], request["scores"], atol=1e-5)
        assert request["scores"] == sorted(request["scores"], reverse=True)
        assert all(0 <= score <= 1 for score in request["scores"])


def test_context_and_person_change_the_answer(retail: Context) -> None:
    bundle = Bundle(files(retail, retail.before("package")), retail.recipe)
    time = np.array([1_704_700_000] * 2)
    users = bundle.recommend(np.array([3, 4]), {"timestamp": time}).rows[:, :10].tolist()
    assert users[0] != users[1]
    devices = bundle.recommend(np.array([3, 3]), {"timestamp": time, "device_type": np.array([0, 1])})
    assert np.abs(devices.scores[0] - devices.scores[1]).max() > 1e-4
    hours = bundle.recommend(np.array([3, 3]), {"timestamp": time + np.array([0, 9 * 3600])})
    assert np.abs(hours.scores[0] - hours.scores[1]).max() > 1e-4


def test_metrics_are_recomputed_from_raw_files(run: Context) -> None:
    tables = json.loads((run.folder("ingest") / "tables.json").read_text())
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--package", str(package_of(run)), "--data", tables["root"]],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "recall@10" in done.stdout


def test_a_changed_part_is_noticed_by_the_script(film: Context, tmp_path: Path) -> None:
    copy = tmp_path / package_of(film).name
    shutil.copytree(package_of(film), copy)
    with (copy / "items.npz").open("ab") as file:
        file.write(b"x")
    done = subprocess.run([sys.executable, str(SCRIPT), "--package", str(copy), "--data", "/nowhere"],
                          check=False, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1
    assert "items.npz: wrong digest" in done.stderr


def test_published_again_it_is_the_same(film: Context) -> None:
    """The step was killed after publishing and before its end: same digest, nothing written twice."""
    folder = package_of(film)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    shutil.rmtree(film.folder("package"))
    assert main(command(film, "package")) == 0
    assert package_of(film) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


class Recording(Folder):
    """A folder that remembers the order of writes, and can spoil or refuse one."""

    def __init__(self, root: Path, spoil: str = "", die: str = "") -> None:
        super().__init__(root)
        self.written: list[str] = []
        self._spoil, self._die = spoil, die

    def put(self, path: Path, key: str) -> None:
        name = key.split("/", 2)[2]
        if name == self._die:
            raise OSError("no space left")
        super().put(path, key)
        self.written.append(name)

    def read(self, key: str) -> Iterator[bytes]:
        yield from super().read(key)
        if self._spoil and key.endswith(self._spoil):
            yield b"rot"


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        (source / name).write_text(name * 3)
    return {f"deep/{name}": source / name for name in "abc"}


def test_manifest_is_written_last(tmp_path: Path, parts: dict[str, Path]) -> None:
    store = Recording(tmp_path / "store")
    digest = publish(store, parts, {"schemaVersion": 1, "stack": "a/b"}, tmp_path)
    assert store.written == [".stack", "deep/a", "deep/b", "deep/c", "manifest.json"]
    assert set(verify(store, digest)["parts"]) == set(parts)
    assert publish(store, parts, {"schemaVersion": 1, "stack": "a/b"}, tmp_path) == digest
    assert len(store.written) == 5


@pytest.mark.parametrize("failing", [{"die": "deep/b"}, {"spoil": "deep/c"}])
def test_nothing_is_visible_when_a_part_is_not_there(
    failing: dict[str, str], tmp_path: Path, parts: dict[str, Path]
) -> None:
    root = tmp_path / "store"
    with pytest.raises((OSError, Damaged)):
        publish(Recording(root, **failing), parts, {"stack": "a/b"}, tmp_path)
    assert not list(root.rglob("manifest.json"))
    assert {path.name for path in root.rglob(".*")} == {".stack"}, "no temporary file is left"
    digest = publish(Recording(root), parts, {"stack": "a/b"}, tmp_path)
    assert verify(Folder(root), digest)


@pytest.mark.parametrize("name", ["deep/a", "manifest.json"])
def test_damage_is_found(name: str, tmp_path: Path, parts: dict[str, Path]) -> None:
    root = tmp_path / "store"
    digest = publish(Folder(root), parts, {"stack": "a/b"}, tmp_path)
    path = next(root.rglob(name))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(Damaged):
        verify(Folder(root), digest)


def test_other_content_other_name(tmp_path: Path, parts: dict[str, Path]) -> None:
    store = Folder(tmp_path / "store")
    names: set[Any] = {
        publish(store, parts, {"stack": "a/b"}, tmp_path),
        publish(store, parts, {"stack": "a/b", "seed": 1}, tmp_path),
    }
    parts["deep/a"].write_text("other")
    assert len(names | {publish(store, parts, {"stack": "a/b"}, tmp_path)}) == 3
