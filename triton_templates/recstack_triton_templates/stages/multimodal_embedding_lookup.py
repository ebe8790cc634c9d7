"""What pictures and texts of candidates say: vectors of pretrained encoders."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recstack_triton_templates.stages.transforms import Array


class EmbeddingTables:
    """``embeddings/<name>.npy`` of the package, float32 [I, width], by row of the catalog.

    They are mapped, not read: the processes of an ensemble share them, and what is asked for often stays in
    memory. ``widths`` has them by name, in the package's order.

    Raises:
        ValueError: a table is not as wide as the package says.
    """

    def __init__(self, folder: Path, widths: Mapping[str, int]) -> None:
        self.widths = dict(widths)
        self._tables = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in widths}
        for name, table in self._tables.items():
            if table.ndim != 2 or table.shape[1] != widths[name]:
                raise ValueError(f"embeddings/{name}.npy is {table.shape}, expected rows of {widths[name]}")

    def sizes(self) -> dict[str, int]:
        """Rows by file."""
        return {f"embeddings/{name}.npy": len(table) for name, table in self._tables.items()}

    def __call__(self, rows: Array) -> dict[str, Array]:
        """Vectors [N, width] of catalog rows [N], by name."""
        return {name: np.asarray(table[rows]) for name, table in self._tables.items()}
