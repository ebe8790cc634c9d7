"""The fused graph: all stages of one request, in order."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recstack_triton_templates.errors import BadRequest
from recstack_triton_templates.explain import Trace, Watch
from recstack_triton_templates.package import Package
from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.request import Request, parse
from recstack_triton_templates.stages.filter_seen_items import (
    Seen,
    SeenStore,
    SeenUnavailable,
    retrieve_unseen,
)
from recstack_triton_templates.stages.softmax_sampling import sample, top
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.stages.unroll_features import unroll


@dataclass(frozen=True)
class Reply:
    """Items in order. ``degraded``: what the user saw could not be read, so nothing was filtered.

    ``explain``: how it came about, if the request asked.
    """

    items: list[dict[str, Any]]
    degraded: bool
    explain: dict[str, Any] | None = None


class Recommender:
    """One version, loaded: answers requests. ``seen`` None: no filter. ``clock``: seconds since 1970, UTC."""

    def __init__(
        self,
        package: Package,
        settings: ServingSettings,
        seen: SeenStore | None,
        clock: Callable[[], float],
    ) -> None:
        self._package, self._settings, self._seen, self._clock = package, settings, seen, clock

    def answer(self, content: bytes) -> bytes:
        """JSON to JSON; a request that cannot be answered gives ``{"problem": "…"}``."""
        try:
            reply = self.recommend(parse(content))
        except BadRequest as error:
            return json.dumps({"problem": str(error)}).encode()
        value: dict[str, Any] = {"items": reply.items}
        if reply.explain is not None:
            value["explain"] = reply.explain
        value["degraded"] = reply.degraded
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def recommend(self, request: Request) -> Reply:
        """Recommend; at most ``k`` items, fewer when the catalog has no more that are unseen.

        Raises:
            BadRequest: a context value of the wrong type.
        """
        package, trace = self._package, Trace() if request.explain else Watch()
        raw = package.context(request.context, self._clock())
        trace.lap("context_preprocessor")
        known = None if request.user_id is None else package.users.get(request.user_id)
        trace.lap("feast_user_lookup")
        user = package.user_transform(known or {})
        trace.lap("nvt_user_transform")
        context = package.context_transform(raw)
        trace.lap("nvt_context_transform")
        query = package.query_tower(user)
        trace.lap("query_tower")
        seen, degraded = self._seen_by(request)
        rows = self._candidates(
            query, request.candidates or self._settings.candidates, trace.watched(seen), trace
        )
        items = package.items(rows)
        trace.lap("feast_item_lookup")
        features = unroll(user | context, items, len(rows))
        trace.lap("unroll_features")
        scores = package.ranker(features, len(rows))
        trace.lap("dlrm_ranking")
        order = self._order(scores, request)
        trace.lap("softmax_sampling")
        decoded = package.decoder(rows[order], scores[order])
        trace.lap("item_id_decoder")
        return Reply(decoded, degraded, trace.explain(decoded, order, len(rows), len(package.items.ids)))

    def _seen_by(self, request: Request) -> tuple[Seen | None, bool]:
        if self._seen is None or request.user_id is None or request.plain:
            return None, False
        try:
            return self._seen.of(request.user_id), False
        except SeenUnavailable:
            return None, True

    def _candidates(self, query: Array, count: int, seen: Seen | None, trace: Watch) -> Array:
        package = self._package

        def retrieve(wanted: int) -> Array:
            trace.lap("filter_seen_items")  # of the round before, when too few were unseen
            rows = package.retrieval(query, wanted)[0][0]
            found: Array = rows[rows >= 0]
            trace.retrieved("faiss_retrieval", len(found))
            return found

        rows = retrieve_unseen(retrieve, package.items.ids, count, seen)
        trace.lap("filter_seen_items")
        return rows

    def _order(self, scores: Array, request: Request) -> Array:
        count = self._settings.top_k if request.k is None else request.k
        if request.plain or not self._settings.diversity:
            return top(scores, count)
        return sample(scores, count, self._settings.temperature, np.random.default_rng(request.seed))
