"""Latency, recall and size of the kinds of index by the size of the catalog, one thread a search.

Unit vectors of width 64 around 200 random centres, cosine to their centre about 0.9; queries from the same
law. One JSON line a setting: milliseconds at p50 of single searches for k = 300 and 600, recall against exact
search, bytes of the index as written, seconds to build. Run in the training environment:

    python benchmarks/retrieval_index.py [--items 2465 100000 1000000]
"""

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import faiss
import numpy as np
from recstack_crds.v1alpha1.models import Index, IndexType
from recstack_training import index as indexes

DIM, CENTRES, QUERIES = 64, 200, 200
NOISE = 0.5
WANTED = (300, 600)


def vectors(count: int, centres: Any, random: np.random.Generator) -> Any:
    """Unit vectors float32 [count, DIM] around ``centres`` [CENTRES, DIM]."""
    noise = random.normal(size=(count, DIM)).astype(np.float32) * np.float32(NOISE / DIM**0.5)
    found = centres[random.integers(CENTRES, size=count)] + noise
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def p50(index: Any, queries: Any, count: int) -> float:
    """Milliseconds of a search for one query."""
    taken = []
    for query in queries:
        began = time.perf_counter()
        index.search(query[None], count)
        taken.append(time.perf_counter() - began)
    return float(np.median(taken) * 1000)


def settings(items: int) -> list[tuple[indexes.Plan, list[indexes.Plan]]]:
    """Indexes to build, each with the ways to search it."""
    ivf = indexes.plan(Index(type=IndexType.IVF), items)
    probes = [n for n in (1, 4, 8, 16, 32, 64, 128, 256) if n <= (ivf.nlist or 1)]
    graphs = [indexes.plan(Index(type=IndexType.HNSW, m=m), items) for m in (32,)]
    flat = indexes.plan(Index(type=IndexType.FLAT), items)
    return [
        (flat, [flat]),
        (ivf, [replace(ivf, nprobe=n) for n in probes]),
        *((g, [replace(g, ef_search=n) for n in (64, 512, 1024)]) for g in graphs),
    ]


def main() -> None:
    """Print a line for each setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, nargs="+", default=[2465, 20_000, 100_000, 1_000_000])
    random = np.random.default_rng(1)
    centres = random.normal(size=(CENTRES, DIM)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    for items in parser.parse_args().items:
        catalog, queries = vectors(items, centres, random), vectors(QUERIES, centres, random)
        truth = {k: indexes.exact(catalog, queries, k) for k in WANTED}
        for built, searches in settings(items):
            faiss.omp_set_num_threads(2)
            began = time.perf_counter()
            index = indexes.build(catalog, built, seed=1)
            seconds = time.perf_counter() - began
            size = len(faiss.serialize_index(index))
            faiss.omp_set_num_threads(1)
            for search in searches:
                indexes.search_with(index, search)
                line: dict[str, Any] = {"items": items, **search.as_json()}
                for k in WANTED:
                    line[f"recall@{k}"] = round(indexes.recall(index.search(queries, k)[1], truth[k]), 4)
                    line[f"p50ms@{k}"] = round(p50(index, queries, k), 3)
                print(
                    json.dumps({**line, "MB": round(size / 1e6, 1), "build_s": round(seconds, 1)}), flush=True
                )


if __name__ == "__main__":
    main()
