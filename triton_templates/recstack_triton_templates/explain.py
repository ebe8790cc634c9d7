"""How an answer came about: time by stage, candidates by step, where each item came from."""

import time
from typing import Any

from recstack_triton_templates.stages.filter_seen_items import Seen
from recstack_triton_templates.stages.transforms import Array

STAGES = (
    "context_preprocessor",
    "feast_user_lookup",
    "nvt_user_transform",
    "nvt_context_transform",
    "query_tower",
    "faiss_retrieval",
    "filter_seen_items",
    "feast_item_lookup",
    "unroll_features",
    "dlrm_ranking",
    "softmax_sampling",
    "item_id_decoder",
)
"""In the order of a request; retrieval and filter take turns when too few are unseen."""


class Watch:
    """Watches nothing: what a request gets that did not ask, so that it pays a few empty calls only."""

    def lap(self, stage: str) -> None:
        """``stage`` ends here; it began where the one before ended."""

    def retrieved(self, stage: str, rows: Array) -> None:
        """A lap of retrieval that found ``rows`` [n]; the last one counts."""

    def watched(self, seen: Seen | None) -> Seen | None:
        """``seen``, its answers counted."""
        return seen

    def explain(
        self, items: list[dict[str, Any]], order: Array, ranked: int, catalog: int
    ) -> dict[str, Any] | None:
        """What was seen of the request.

        Args:
            items: of the reply; each is told its source and its rank there, from 1.
            order: positions of ``items`` among the candidates, best candidate first.
            ranked: candidates that were ranked.
            catalog: items that there are.
        """
        return None


class Trace(Watch):
    """Watches one request that ``began`` at a time of ``time.perf_counter``."""

    def __init__(self, began: float) -> None:
        self._stages: dict[str, float] = {}
        self._retrieved = self._seen = 0
        self._before = began

    def lap(self, stage: str) -> None:
        """As :class:`Watch` has it; milliseconds of a stage that ran more than once are added up."""
        now = time.perf_counter()
        self._stages[stage] = self._stages.get(stage, 0.0) + (now - self._before) * 1000
        self._before = now

    def retrieved(self, stage: str, rows: Array) -> None:
        """As :class:`Watch` has it."""
        self._retrieved, self._seen = len(rows), 0
        self.lap(stage)

    def watched(self, seen: Seen | None) -> Seen | None:
        """As :class:`Watch` has it."""
        if seen is None:
            return None

        def count(ids: Array) -> Array:
            found = seen(ids)
            self._seen = int(found.sum())
            return found

        return count

    def explain(
        self, items: list[dict[str, Any]], order: Array, ranked: int, catalog: int
    ) -> dict[str, Any] | None:
        """As :class:`Watch` has it: ``{"stages": {name: ms}, "candidates": {step: count}}``."""
        for item, position in zip(items, order.tolist(), strict=True):
            item["source"], item["source_rank"] = "retrieval", position + 1
        counts = {
            "catalog": catalog,
            "retrieved": self._retrieved,
            "seen_filtered": self._seen,
            "ranked": ranked,
            "returned": len(items),
        }
        stages = {stage: round(self._stages[stage], 4) for stage in STAGES if stage in self._stages}
        return {"stages": stages, "candidates": counts}
