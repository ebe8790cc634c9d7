"""The index is what was declared, or what the catalog's size and the recall decide."""

from typing import Any

import faiss
import numpy as np
import pytest
from recstack_crds.v1alpha1.models import Index, IndexType
from recstack_training import index as indexes
from recstack_triton_templates.stages.faiss_retrieval import Retrieval

DIM, ITEMS = 16, 4000


def unit(values: Any) -> Any:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def world() -> tuple[Any, Any]:
    """Items in 40 groups, queries in the same."""
    random = np.random.default_rng(1)
    centres = random.normal(size=(40, DIM))
    return tuple(
        unit(centres[random.integers(40, size=n)] + 0.5 * random.normal(size=(n, DIM))) for n in (ITEMS, 50)
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of a small world."""
    monkeypatch.setattr(indexes, "FLAT_ITEMS", 2000)
    monkeypatch.setattr(indexes, "WANTED", 60)


def recall(built: Any, vectors: Any, queries: Any, count: int = 60) -> float:
    found = np.stack(Retrieval(built)(queries, [count] * len(queries)))
    return indexes.recall(found, indexes.exact(vectors, queries, count))


def test_a_small_catalog_is_searched_exactly(world: tuple[Any, Any]) -> None:
    built, chosen = indexes.fit(world[0][:2000], world[1], Index(), 1)
    assert chosen.as_json() == {"type": "Flat"}
    assert isinstance(built, faiss.IndexFlat)


def test_a_large_one_by_lists_with_enough_recall(world: tuple[Any, Any]) -> None:
    built, chosen = indexes.fit(*world, Index(), 1)
    assert chosen.type is IndexType.IVF
    assert chosen.nlist == 64
    assert (built.nlist, built.nprobe) == (chosen.nlist, chosen.nprobe)
    assert chosen.nprobe is not None
    assert 1 < chosen.nprobe <= 32
    assert recall(built, *world) >= indexes.LEAST_RECALL
    built.nprobe = 1
    assert recall(built, *world) < indexes.LEAST_RECALL, "so the breadth was needed"


def test_where_lists_do_not_help_it_is_exact() -> None:
    random = np.random.default_rng(2)
    noise, queries = (unit(random.normal(size=(n, 64))) for n in (ITEMS, 30))
    built, chosen = indexes.fit(noise, queries, Index(), 1)
    assert chosen.type is IndexType.FLAT
    assert recall(built, noise, queries) == 1
    _, declared = indexes.fit(noise, queries, Index(type=IndexType.IVF), 1)
    assert (declared.type, declared.nprobe) == (IndexType.IVF, 64), (
        "what is declared is kept, all lists at last"
    )


def test_what_is_declared_is_taken(world: tuple[Any, Any]) -> None:
    asked = {"type": "IVF", "nlist": 20, "nprobe": 1}
    built, chosen = indexes.fit(*world, Index.model_validate(asked), 1)
    assert chosen.as_json() == asked
    assert (built.nlist, built.nprobe) == (20, 1)
    graph = {"type": "HNSW", "m": 8, "efConstruction": 40, "efSearch": 33}
    built, chosen = indexes.fit(*world, Index.model_validate(graph), 1)
    assert chosen.as_json() == graph
    assert (built.hnsw.efConstruction, built.hnsw.efSearch) == (40, 33)


def test_a_graph_searches_as_broadly_as_it_must(world: tuple[Any, Any]) -> None:
    asked = Index.model_validate({"type": "HNSW", "m": 4, "efConstruction": 8})
    built, chosen = indexes.fit(*world, asked, 1)
    assert chosen.ef_search is not None
    assert chosen.ef_search == 4096 or recall(built, *world) >= indexes.LEAST_RECALL


def test_a_seed_gives_one_index(world: tuple[Any, Any]) -> None:
    asked = Index(type=IndexType.IVF)
    one, other = (faiss.serialize_index(indexes.fit(*world, asked, 7)[0]).tobytes() for _ in range(2))
    assert one == other


@pytest.mark.parametrize("kind", list(IndexType))
@pytest.mark.parametrize("items", [1, 3, 50])
def test_tiny_catalogs(world: tuple[Any, Any], kind: IndexType, items: int) -> None:
    built, _ = indexes.fit(world[0][:items], world[1], Index(type=kind), 1)
    assert recall(built, world[0][:items], world[1]) == 1


@pytest.mark.parametrize(("items", "lists"), [(1, 1), (2465, 32), (100_000, 1024), (1_000_000, 2048)])
def test_lists_by_size(items: int, lists: int) -> None:
    assert indexes.lists_for(items) == lists
