"""Tables of picture and text embeddings: rows as they are, and a package that does not fit is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from recstack_triton_templates import matrices, package
from recstack_triton_templates.stages.multimodal_embedding_lookup import EmbeddingTables

from tests.serving.sample_package import ILLUSTRATED, SamplePackage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    digest = SamplePackage(ILLUSTRATED, 3).write(tmp_path)
    return tmp_path / "packages" / digest.removeprefix("sha256:")


def test_rows_are_those_of_the_catalog(folder: Path) -> None:
    loaded = package.load(folder)
    rows = np.array([399, 0, 7, 7])
    found = loaded.item_embeddings(rows)
    assert list(found) == ["words", "look"], "in the order of the manifest"
    for name, table in SamplePackage(ILLUSTRATED, 3).vectors.items():
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], table[rows])


def test_they_are_mapped_not_read(folder: Path) -> None:
    tables = EmbeddingTables(folder / "embeddings", dict(ILLUSTRATED.embeddings))
    assert all(isinstance(table, np.memmap) for table in tables._tables.values())
    assert not isinstance(tables(np.array([1]))["look"], np.memmap), "what is handed on is memory"


def test_a_table_of_another_width_or_length_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"look.npy is \(400, 3\), expected rows of 4"):
        EmbeddingTables(folder / "embeddings", {"look": 4})
    shutil.copy(folder / "embeddings" / "look.npy", folder / "look.npy")
    np.save(folder / "embeddings" / "look.npy", np.load(folder / "look.npy")[:399])
    with pytest.raises(ValueError, match="disagree about the number of items"):
        package.load(folder)


def test_a_package_of_before_has_none(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["embeddings"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert package.load(folder).item_embeddings(np.array([0, 1])) == {}


def test_vectors_come_through_a_matrix_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(5, 2))
    vectors = {
        "b": rng.normal(size=(5, 3)).astype(np.float32),
        "a": rng.normal(size=(5, 1)).astype(np.float32),
    }
    features, found = matrices.split(matrices.beside(matrix, vectors), {"b": 3, "a": 1})
    assert np.array_equal(features, matrix)
    assert list(found) == ["b", "a"]
    for name, value in vectors.items():
        assert np.array_equal(found[name], value)
    assert np.array_equal(matrices.split(matrix, {})[0], matrix)
