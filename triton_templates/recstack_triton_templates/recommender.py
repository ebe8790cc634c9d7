"""The fused graph: all stages of one request, in order."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recstack_triton_templates.errors import BadRequest
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
    """Items in order. ``degraded``: what the user saw could not be read, so nothing was filtered."""

    items: list[dict[str, Any]]
    degraded: bool


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
        value = {"items": reply.items, "degraded": reply.degraded}
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def recommend(self, request: Request) -> Reply:
        """Recommend; at most ``k`` items, fewer when the catalog has no more that are unseen.

        Raises:
            BadRequest: a context value of the wrong type.
        """
        package = self._package
        context = package.context_transform(package.context(request.context, self._clock()))
        known = None if request.user_id is None else package.users.get(request.user_id)
        user = package.user_transform(known or {})
        seen, degraded = self._seen_by(request)
        rows = self._candidates(user, request.candidates or self._settings.candidates, seen)
        features = unroll(user | context, package.items(rows), len(rows))
        scores = package.ranker(features, len(rows))
        order = self._order(scores, request)
        return Reply(package.decoder(rows[order], scores[order]), degraded)

    def _seen_by(self, request: Request) -> tuple[Seen | None, bool]:
        if self._seen is None or request.user_id is None or request.plain:
            return None, False
        try:
            return self._seen.of(request.user_id), False
        except SeenUnavailable:
            return None, True

    def _candidates(self, user: dict[str, Array], count: int, seen: Seen | None) -> Array:
        package = self._package
        query = package.query_tower(user)

        def retrieve(wanted: int) -> Array:
            rows = package.retrieval(query, wanted)[0][0]
            found: Array = rows[rows >= 0]
            return found

        return retrieve_unseen(retrieve, package.items.ids, count, seen)

    def _order(self, scores: Array, request: Request) -> Array:
        count = self._settings.top_k if request.k is None else request.k
        if request.plain or not self._settings.diversity:
            return top(scores, count)
        return sample(scores, count, self._settings.temperature, np.random.default_rng(request.seed))
