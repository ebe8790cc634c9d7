"""Retrieval gives what was asked for, whatever the kind of index misses."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recstack_triton_templates.stages.device import Device
from recstack_triton_templates.stages.faiss_retrieval import GPU_ROWS, Retrieval
from recstack_triton_templates.stages.filter_seen_items import first_fetch, unseen

from tests.serving.sample_package import build_index

ITEMS, DIM = 300, 8
KINDS = ("Flat", "IVF", "HNSW")


def _unit(count: int, seed: int) -> Any:
    found = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


VECTORS, QUERIES = _unit(ITEMS, 1), _unit(5, 2)
INDEXES = {kind: Retrieval(build_index(VECTORS, kind)) for kind in KINDS}
COUNTS = st.lists(st.integers(0, 2 * ITEMS), min_size=len(QUERIES), max_size=len(QUERIES))


@given(st.sampled_from(KINDS), COUNTS)
@settings(deadline=None)
def test_as_many_different_items_as_wanted(kind: str, counts: list[int]) -> None:
    found = INDEXES[kind](QUERIES, counts)
    for rows, count in zip(found, counts, strict=True):
        assert len(set(rows.tolist())) == len(rows) == min(count, ITEMS)
        assert ((rows >= 0) & (rows < ITEMS)).all()


@given(st.sampled_from(KINDS), COUNTS)
@settings(deadline=None)
def test_the_others_of_a_call_change_nothing(kind: str, counts: list[int]) -> None:
    together = INDEXES[kind](QUERIES, counts)
    for place, rows in enumerate(together):
        assert INDEXES[kind].one(QUERIES[place : place + 1], counts[place]).tolist() == rows.tolist()


@given(
    st.sampled_from(KINDS),
    st.integers(1, ITEMS),
    st.sets(st.integers(0, ITEMS - 1)),
    st.integers(0, len(QUERIES) - 1),
)
@settings(deadline=None)
def test_over_fetch_ends_with_enough_unseen_or_all_of_them(
    kind: str, count: int, saw: set[int], which: int
) -> None:
    retrieval, query = INDEXES[kind], QUERIES[which : which + 1]
    ids, known = np.arange(ITEMS) + 5000, np.array(sorted(saw), np.int64) + 5000
    wanted = first_fetch(count, filtered=True)
    rows = unseen(
        retrieval.one(query, wanted),
        wanted,
        lambda more: retrieval.one(query, more),
        ids,
        count=count,
        seen=lambda asked: np.isin(asked, known),
    )
    assert len(set(rows.tolist())) == len(rows) == min(count, ITEMS - len(saw))
    assert not set(rows.tolist()) & saw


def test_an_ivf_index_that_has_to_find_all_is_exact() -> None:
    rows = INDEXES["IVF"].one(QUERIES[:1], ITEMS)
    assert rows.tolist() == np.argsort(-(VECTORS @ QUERIES[0]), kind="stable").tolist()


def test_a_graph_that_is_cut_is_searched_without_it() -> None:
    index = build_index(VECTORS, "HNSW")
    links = faiss.vector_to_array(index.hnsw.neighbors)
    faiss.copy_array_to_vector(np.full_like(links, -1), index.hnsw.neighbors)
    assert (index.search(QUERIES, 10)[1] < 0).any(), "so that the test tests something"
    exact = np.argsort(-(VECTORS @ QUERIES.T), axis=0, kind="stable")[:10].T
    assert np.stack(Retrieval(index)(QUERIES, [10] * len(QUERIES))).tolist() == exact.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_no_items(kind: str) -> None:
    index = build_index(VECTORS, kind)
    index.reset()
    assert [len(rows) for rows in Retrieval(index)(QUERIES, [3] * len(QUERIES))] == [0] * len(QUERIES)


@pytest.mark.parametrize("kind", KINDS)
def test_breadth_of_search_is_in_the_file(kind: str, tmp_path: Path) -> None:
    index = build_index(VECTORS, kind)
    if kind == "IVF":
        index.nprobe = 7
    elif kind == "HNSW":
        index.hnsw.efSearch = 77
    faiss.write_index(index, str(tmp_path / "index.faiss"))
    again = Retrieval.read(tmp_path / "index.faiss")
    expected = Retrieval(index)(QUERIES, [20] * len(QUERIES))
    assert np.stack(again(QUERIES, [20] * len(QUERIES))).tolist() == np.stack(expected).tolist()


class Gpu:
    """Stands for FAISS with a GPU: an index there is this one, which counts the searches it gets."""

    def __init__(self) -> None:
        self.searches: list[int] = []

    def take(self, _resources: object, _device: int, index: Any) -> "Gpu":
        self.index = index
        return self

    def search(self, queries: Any, count: int) -> Any:
        self.searches.append(count)
        return self.index.search(queries, count)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_is_taken_where_there_is_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu()
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", gpu.take, raising=False)
    vectors = _unit(GPU_ROWS + 10, 3)
    retrieval = Retrieval(build_index(vectors, kind), Device.CUDA)
    assert len(retrieval.one(QUERIES[:1], 10)) == 10
    assert len(retrieval.one(QUERIES[:1], GPU_ROWS + 1)) == GPU_ROWS + 1
    assert gpu.searches == ([] if kind == "HNSW" else [10])
    Retrieval(build_index(vectors, kind), Device.CPU).one(QUERIES[:1], 10)
    assert gpu.searches == ([] if kind == "HNSW" else [10])
