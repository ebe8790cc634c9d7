"""How an answer came about: time by stage, candidates by step, where each item came from."""

import time
from typing import Any

from recstack_triton_templates.graph import FUSED
from recstack_triton_templates.stages.filter_seen_items import Seen
from recstack_triton_templates.stages.transforms import Array


class Watch:
    """Times the stages of a run that ``began`` at a time of ``time.perf_counter``, and no more."""

    def __init__(self, began: float) -> None:
        self.stages: dict[str, float] = {}
        """Milliseconds by stage; those of a stage that ran more than once are added up."""
        self._before = began

    def lap(self, stage: str) -> None:
        """``stage`` ends here; it began where the one before ended."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + (now - self._before) * 1000
        self._before = now

    def retrieved(self, stage: str, rows: Array) -> None:
        """A lap of retrieval that found ``rows`` [n]; the last one counts."""
        self.lap(stage)

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
    """Watches one request, which asked how its answer came about."""

    def __init__(self, began: float) -> None:
        super().__init__(began)
        self._retrieved = self._seen = 0

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
        stages = {stage: round(self.stages[stage], 4) for stage in FUSED if stage in self.stages}
        return {"stages": stages, "candidates": counts}
