"""The fused graph: all stages of the requests of one call, in order."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from recstack_triton_templates.explain import Trace, Watch
from recstack_triton_templates.graph import FUSED
from recstack_triton_templates.lines import Asked, Reply, answered, read
from recstack_triton_templates.online import Known, OnlineStore
from recstack_triton_templates.package import Package
from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.request import Request
from recstack_triton_templates.stages.feast_item_lookup import Items, ItemTable, lookup
from recstack_triton_templates.stages.filter_seen_items import first_fetch, unseen
from recstack_triton_templates.stages.softmax_sampling import Ordering, top
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.stages.trending import TrendingStore, mix
from recstack_triton_templates.stages.unroll_features import beside
from recstack_triton_templates.trends import NO_TREND, Trend, Trends


@dataclass(frozen=True)
class Run:
    """Replies of the calls that were answered together, and float32 [len(FUSED)], milliseconds of each."""

    replies: list[bytes]
    stages: Array


class Recommender:
    """One version, loaded: answers requests.

    ``online`` None: no filter, and users are the package's. ``items`` None: the package's. ``clock``: seconds
    since 1970, UTC.

    ``trending`` None: retrieval is the only source.

    Raises:
        ValueError: the settings name a feature that the package has not.
    """

    def __init__(
        self,
        package: Package,
        settings: ServingSettings,
        online: OnlineStore | None,
        clock: Callable[[], float],
        *,
        items: Items | None = None,
        trending: TrendingStore | None = None,
    ) -> None:
        self._package, self._settings, self._online, self._clock = package, settings, online, clock
        self._trends = None if trending is None else Trends(trending, settings, package.items.ids)
        self._items, self._ordering = items, ordering(settings)
        capped_values(settings, package.items)

    def run(self, contents: Sequence[bytes]) -> Run:
        """Answers to calls of a line of JSON for each request; ``{"problem": "…"}`` where there is none.

        A request that wants an explanation is answered by itself, as stages of a common run are nobody's.
        """
        times = dict.fromkeys(FUSED, 0.0)
        lines = self._answer(b"\n".join(contents), times).split(b"\n")
        ends = np.cumsum([content.count(b"\n") + 1 for content in contents]).tolist()
        replies = [b"\n".join(lines[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        return Run(replies, np.fromiter(times.values(), np.float32, len(times)))

    def answer(self, content: bytes) -> bytes:
        """The replies of one call."""
        return self.run([content]).replies[0]

    def _answer(self, content: bytes, times: dict[str, float]) -> bytes:
        began = time.perf_counter()
        asked = read(content, self._package.context, self._clock())
        good = [(place, one) for place, one in enumerate(asked) if isinstance(one, Asked)]
        runs = [[pair] for pair in good if pair[1].request.explain]
        runs.append([pair for pair in good if not pair[1].request.explain])
        found: dict[int, Reply] = {}
        for run in runs:
            replies = self._recommend([one for _, one in run], began, times)
            found |= zip((place for place, _ in run), replies, strict=True)
            began = time.perf_counter()
        return answered([one if isinstance(one, str) else None for one in asked], found.__getitem__)

    def recommend(self, request: Request) -> Reply:
        """Recommend; at most ``k`` items, fewer when the catalog has no more that are unseen.

        Raises:
            BadRequest: a context value of the wrong type.
        """
        began = time.perf_counter()
        context = self._package.context(request.context, self._clock())
        return self._recommend([Asked(request, context)], began, {})[0]

    def _recommend(self, asked: Sequence[Asked], began: float, times: dict[str, float]) -> list[Reply]:
        """Replies in order; milliseconds by stage are added to ``times``."""
        if not asked:
            return []
        package = self._package
        trace = Trace(began) if len(asked) == 1 and asked[0].request.explain else Watch(began)
        trace.lap("context_preprocessor")
        requests = [one.request for one in asked]
        known = self._known(requests)
        raw = [
            package.users.known(one.user_id) if of.user is None else of.user
            for one, of in zip(requests, known, strict=True)
        ]
        trace.lap("feast_user_lookup")
        user = package.user_transform.batch(raw)
        trace.lap("nvt_user_transform")
        context = package.context_transform.batch([one.context for one in asked])
        trace.lap("nvt_context_transform")
        queries = package.query_tower(user)
        trace.lap("query_tower")
        trends = self._trending(requests, raw)
        candidates, sources = self._candidates(requests, queries, known, trends, trace)
        rows = np.concatenate(candidates)
        owners = np.repeat(np.arange(len(asked)), [len(one) for one in candidates])
        table = package.items if self._items is None else self._items.current
        plain = np.array([one.plain for one in requests])
        items = lookup(table, package.items, rows, plain[owners])
        trace.lap("feast_item_lookup")
        embeddings = package.item_embeddings(rows)
        trace.lap("multimodal_embedding_lookup")
        asking, asked_for = user | context, items | embeddings
        capped = capped_values(self._settings, table)
        replies, start = [], 0
        for place, (one, own) in enumerate(zip(requests, candidates, strict=True)):
            features = beside(asking, asked_for, place, slice(start, start + len(own)))
            start += len(own)
            trace.lap("unroll_features")
            own_scores = package.ranker(features, len(own))
            trace.lap("dlrm_ranking")
            order = self._order(own, own_scores, one, capped)
            trace.lap("softmax_sampling")
            decoded = package.decoder(own[order], own_scores[order])
            trace.lap("item_id_decoder")
            explained = trace.explain(decoded, order, sources[place], len(package.items.ids))
            replies.append(Reply(decoded, known[place].incomplete or trends[place].down, explained))
        for stage, milliseconds in trace.stages.items():
            times[stage] = times.get(stage, 0.0) + milliseconds
        return replies

    def _known(self, requests: Sequence[Request]) -> list[Known]:
        return [Known()] * len(requests) if self._online is None else self._online.fetch(requests)

    def _filtered(self, request: Request) -> bool:
        return self._settings.seen_filter and request.user_id is not None and not request.plain

    def _candidates(
        self,
        requests: Sequence[Request],
        queries: Array,
        known: Sequence[Known],
        trends: Sequence[Trend],
        trace: Watch,
    ) -> tuple[list[Array], list[Array]]:
        """Rows of the catalog for each request and their sources; the index is searched once for all."""
        retrieval, ids = self._package.retrieval, self._package.items.ids
        counts = [one.candidates or self._settings.candidates for one in requests]
        wanted = [first_fetch(c, self._filtered(one)) for c, one in zip(counts, requests, strict=True)]
        found = retrieval(queries, wanted)
        result, sources = [], []
        for place, (count, fetched, of) in enumerate(zip(counts, wanted, known, strict=True)):
            seen = of.seen
            rows = found[place]
            trace.retrieved("faiss_retrieval", rows)
            if seen is None:
                rows = rows[:count]
            else:
                again = partial(self._again, queries[place : place + 1], trace)
                rows = unseen(rows, fetched, again, ids, count=count, seen=trace.watched(seen))
            trend = trends[place]
            rows, source = mix(rows, trend.rows, ids, seen=seen, wanted=trend.wanted, count=count)
            trace.lap("filter_seen_items")
            result.append(rows)
            sources.append(source)
        return result, sources

    def _trending(self, requests: Sequence[Request], users: Sequence[Mapping[str, Array]]) -> list[Trend]:
        if self._trends is None:
            return [NO_TREND] * len(requests)
        return self._trends.of(users, [one.plain for one in requests])

    def _again(self, query: Array, trace: Watch, wanted: int) -> Array:
        """Another round of retrieval, as too few of the last were unseen."""
        trace.lap("filter_seen_items")
        rows = self._package.retrieval.one(query, wanted)
        trace.retrieved("faiss_retrieval", rows)
        return rows

    def _order(self, rows: Array, scores: Array, request: Request, capped: Array | None) -> Array:
        count = self._settings.top_k if request.k is None else request.k
        if request.plain:
            return top(scores, count)
        values = None if capped is None else capped[rows]
        return self._ordering(scores, count, request.seed, values)


def ordering(settings: ServingSettings) -> Ordering:
    """How a stack with these settings orders."""
    most = settings.max_per_value if settings.max_per_value_feature else None
    return Ordering(settings.diversity, settings.temperature, most)


def capped_values(settings: ServingSettings, items: ItemTable) -> Array | None:
    """Values [I] of the feature that the cap counts, by row of the catalog; None: no cap.

    Raises:
        ValueError: there is no such feature.
    """
    feature = settings.max_per_value_feature
    return None if feature is None else items.column(feature)
