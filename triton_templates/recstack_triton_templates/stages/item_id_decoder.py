"""Rows of the catalog to what the caller knows."""

from collections.abc import Sequence
from typing import Any

from recstack_triton_templates.stages.transforms import Array


class Decoder:
    """Ids [I] and titles (I texts or None) of the catalog."""

    def __init__(self, ids: Array, titles: Sequence[str | None]) -> None:
        self._ids, self._titles = ids, titles

    def __call__(self, rows: Array, scores: Array) -> list[dict[str, Any]]:
        """``{"id", "score", "title"}`` of catalog rows [N] with their scores [N]."""
        triples = zip(self._ids[rows].tolist(), scores.tolist(), rows.tolist(), strict=True)
        return [{"id": id_, "score": score, "title": self._titles[row]} for id_, score, row in triples]
