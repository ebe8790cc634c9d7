"""Nearest items of a query."""

from pathlib import Path

import faiss
import numpy as np

from recstack_triton_templates.stages.transforms import Array


class Retrieval:
    """``index.faiss``: inner product, position = row of the catalog."""

    def __init__(self, path: Path) -> None:
        self._index = faiss.read_index(str(path))

    @property
    def items(self) -> int:
        """Size of the catalog."""
        return int(self._index.ntotal)

    def __call__(self, queries: Array, count: int) -> tuple[Array, Array]:
        """Rows int64 [N, n] and similarities float32 [N, n], best first, n = ``count`` or the whole catalog.

        An approximate index may find fewer; the rest is row -1.
        """
        wanted = min(count, self.items)
        if wanted == 0:
            return np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        similarities, rows = self._index.search(np.ascontiguousarray(queries, np.float32), wanted)
        return rows, similarities

    def one(self, query: Array, count: int) -> Array:
        """Rows [n] that are there for one query [1, D], best first."""
        rows = self(query, count)[0][0]
        found: Array = rows[rows >= 0]
        return found
