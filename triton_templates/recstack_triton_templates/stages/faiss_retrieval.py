"""Nearest items of a query, by whatever kind of index the version was trained with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from recstack_triton_templates.stages.device import Device
from recstack_triton_templates.stages.transforms import Array

GPU_ROWS = 2048
"""Most rows of a query that FAISS finds on a GPU."""


class Retrieval:
    """An ``index`` of FAISS: inner product, position = row of the catalog; Flat, IVF or HNSW.

    ``device``: a GPU is taken where FAISS has one and knows the kind of index there (not HNSW).
    """

    def __init__(self, index: Any, device: Device = Device.CPU) -> None:
        self._index = index
        self._gpu = None if device is Device.CPU else _on_gpu(index)

    @classmethod
    def read(cls, path: Path, device: Device = Device.CPU) -> "Retrieval":
        """From ``index.faiss``."""
        return cls(faiss.read_index(str(path)), device)

    @property
    def items(self) -> int:
        """Size of the catalog."""
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Width of a query."""
        return int(self._index.d)

    def __call__(self, queries: Array, counts: Sequence[int]) -> list[Array]:
        """Rows int64 of each query [N, D], best first: ``counts`` [N] of them, or the whole catalog.

        What an approximate index finds may depend on how many are asked for; so a query gets the same rows
        whatever the others of the call want.
        """
        wanted = [min(count, self.items) for count in counts]
        queries = np.ascontiguousarray(queries, np.float32)
        if isinstance(self._index, faiss.IndexFlat):
            found = self._search(queries, max(wanted, default=0))
            return [rows[:count] for rows, count in zip(found, wanted, strict=True)]
        result: list[Array] = [np.zeros(0, np.int64)] * len(wanted)
        for count in set(wanted):
            places = [place for place, one in enumerate(wanted) if one == count]
            for place, rows in zip(places, self._search(queries[places], count), strict=True):
                result[place] = rows
        return result

    def one(self, query: Array, count: int) -> Array:
        """Rows [n] for one query [1, D], as a call."""
        return self(query, [count])[0]

    def _search(self, queries: Array, count: int) -> Array:
        """Rows [N, count], ``count`` not above the catalog's size; all there."""
        if count == 0 or len(queries) == 0:
            return np.zeros((len(queries), count), np.int64)
        index = self._index if self._gpu is None or count > GPU_ROWS else self._gpu
        rows: Array = index.search(queries, count)[1]
        for place in np.flatnonzero((rows < 0).any(axis=1)).tolist():
            rows[place] = self._wider(queries[place : place + 1], count)
        return rows

    def _wider(self, query: Array, count: int) -> Array:
        """Rows [1, count] of a query [1, D] whose search ended before it had enough."""
        if not isinstance(self._index, faiss.IndexIVF):
            # HNSW: a part of the graph that no way leads to; the vectors themselves lie beside it.
            return _rows(faiss.downcast_index(self._index.storage).search(query, count))
        probes = self._index.nprobe
        while True:
            probes = min(2 * probes, self._index.nlist)
            rows = _rows(self._index.search(query, count, params=faiss.SearchParametersIVF(nprobe=probes)))
            if probes == self._index.nlist or (rows >= 0).all():
                return rows


def _rows(found: Any) -> Array:
    rows: Array = found[1]
    return rows


def _on_gpu(index: Any) -> Any:
    """A copy on the GPU; None where FAISS has no GPU, or the GPU no such index."""
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    if gpus == 0 or not isinstance(index, faiss.IndexFlat | faiss.IndexIVF):
        return None
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
