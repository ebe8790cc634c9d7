"""Packages with a catalog of another size: a trained one's networks and tables, stretched at random.

Good for memory and latency, not for recommendations.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnx
from onnx import numpy_helper
from recstack_crds.v1alpha1.models import Index
from recstack_training import index as indexes
from recstack_triton_templates import package
from recstack_triton_templates.recommender import Recommender
from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.request import Request

from benchmarks.serving.trained import CACHE

RESERVED = 3
"""Codes below the vocabulary's."""
NOISE = 0.5
"""Length of what is added to a real item's embedding, of length 1."""


def stretched(trained: Path, items: int) -> Path:
    """The folder of ``trained`` with ``items`` items, a package; kept outside of the tree."""
    key = hashlib.sha256(trained.name.encode())
    for source in (__file__, indexes.__file__):
        key.update(Path(source).read_bytes())
    artifacts = CACHE / "catalogs" / f"{key.hexdigest()[:16]}-{items}"
    found = list(artifacts.glob("packages/*"))
    return found[0] if found else _write(trained, items, artifacts)


def _write(trained: Path, items: int, artifacts: Path) -> Path:
    folder = artifacts / "writing"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("workflows", "training", "offline"))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    before, dim = manifest["retrieval"]["items"], manifest["retrieval"]["dim"]
    random = np.random.default_rng(items)
    key = _identity(folder, before)
    with np.load(folder / "items.npz") as table:
        columns = {name: random.choice(table[name], items) for name in table.files}
    columns |= {"__id__": np.arange(1, items + 1), key: np.arange(RESERVED, RESERVED + items)}
    np.savez(folder / "items.npz", **columns)
    with np.load(folder / "vocab.npz") as table:
        vocabulary = dict(table)
    vocabulary |= {f"{key}.vocab": columns["__id__"], f"{key}.codes": columns[key]}
    np.savez(folder / "vocab.npz", **vocabulary)
    (folder / "titles.json").write_text(json.dumps([f"Item {number}" for number in range(items)]))
    # Near real items: what finds random directions fast finds nothing else.
    vectors = random.choice(np.load(folder / "item_embeddings.npy"), items)
    vectors += random.normal(0, NOISE / dim**0.5, size=vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(folder / "item_embeddings.npy", vectors)
    index, chosen = indexes.fit(vectors, _queries(trained), Index(), seed=items)
    faiss.write_index(index, str(folder / "index.faiss"))
    _stretch(folder / "ranker.onnx", before + RESERVED, items + RESERVED, random)
    (folder / "probe.json").write_text(json.dumps([_probe(folder)]))
    manifest["retrieval"] |= {"items": items, "index": chosen.as_json()}
    manifest["parts"] = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.name not in {"manifest.json", ".stack"}
    }
    content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    (folder / "manifest.json").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (artifacts / "packages").mkdir(exist_ok=True)
    return folder.rename(artifacts / "packages" / digest)


def _queries(trained: Path) -> Any:
    """Embeddings of real users, that the breadth of the search is chosen by."""
    loaded = package.load(trained)
    with np.load(trained / "users.npz") as table:
        users = table["__id__"][: indexes.TRIED].tolist()
    return loaded.query_tower(loaded.user_transform.batch([loaded.users.known(user) for user in users]))


def _probe(folder: Path) -> dict[str, Any]:
    """What the stages answer in this process."""
    recommender = Recommender(package.load(folder), ServingSettings(), None, lambda: 0.0)
    asked: dict[str, Any] = {"user_id": None, "context": {"timestamp": 0}, "candidates": 10}
    items = recommender.recommend(Request(**asked, k=10, plain=True)).items
    return asked | {"items": [one["id"] for one in items], "scores": [one["score"] for one in items]}


def _identity(folder: Path, items: int) -> str:
    """The feature whose vocabulary is the catalog itself."""
    with np.load(folder / "items.npz") as table:
        return next(
            str(name) for name in table.files if name != "__id__" and len(np.unique(table[name])) == items
        )


def _stretch(path: Path, before: int, after: int, random: np.random.Generator) -> None:
    """Give each weight with a row for each item as many rows as there are now."""
    model: Any = onnx.load(str(path))
    for weight in model.graph.initializer:
        if weight.dims and weight.dims[0] == before:
            old = numpy_helper.to_array(weight)
            new = random.normal(0, old.std(), size=(after, *old.shape[1:])).astype(old.dtype)
            weight.CopyFrom(numpy_helper.from_array(new, weight.name))
    onnx.save(model, str(path))
