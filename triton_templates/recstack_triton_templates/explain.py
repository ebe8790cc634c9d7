"""How an answer came about: time by stage, candidates by step, where each item came from."""

import time
from typing import Any

from recstack_triton_templates.graph import FUSED
from recstack_triton_templates.stages.filter_seen_items import Seen
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.stages.trending import SOURCES, TRENDING


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

    def watched(self, seen: Seen) -> Seen:
        """``seen``, its answers counted; the last round counts."""
        return seen

    def explain(
        self, items: list[dict[str, Any]], order: Array, sources: Array, catalog: int
    ) -> dict[str, Any] | None:
        """What was seen of the request.

        Args:
            items: of the reply; each is told its source and its rank there, from 1.
            order: positions of ``items`` among the candidates.
            sources: of the candidates.
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

    @property
    def rounds(self) -> tuple[int, int]:
        """Rows of the last round of retrieval, and seen ones among them."""
        return self._retrieved, self._seen

    def watched(self, seen: Seen) -> Seen:
        """As :class:`Watch` has it."""

        def count(ids: Array) -> Array:
            found = seen(ids)
            self._seen = int(found.sum())
            return found

        return count

    def explain(
        self, items: list[dict[str, Any]], order: Array, sources: Array, catalog: int
    ) -> dict[str, Any] | None:
        """As :class:`Watch` has it: ``{"stages": {name: ms}, "candidates": {step: count}}``."""
        stages = {stage: round(self.stages[stage], 4) for stage in FUSED if stage in self.stages}
        return {
            "stages": stages,
            "candidates": told(
                items, order, sources, catalog=catalog, retrieved=self._retrieved, seen=self._seen
            ),
        }


def told(
    items: list[dict[str, Any]], order: Array, sources: Array, *, catalog: int, retrieved: int, seen: int
) -> dict[str, int]:
    """Tell each of ``items`` its source and its rank there, from 1; count the candidates by step.

    ``order``, ``sources``, ``catalog``: as :meth:`Watch.explain` has them. ``retrieved``: rows of the last
    round of retrieval, of which ``seen`` were seen.
    """
    best = int((sources != TRENDING).sum())
    for item, position in zip(items, order.tolist(), strict=True):
        item["source"] = SOURCES[int(sources[position])]
        item["source_rank"] = position + 1 if position < best else position - best + 1
    return {
        "catalog": catalog,
        "retrieved": retrieved,
        "seen_filtered": seen,
        "trending": int((sources & TRENDING > 0).sum()),
        "ranked": len(sources),
        "returned": len(items),
    }
