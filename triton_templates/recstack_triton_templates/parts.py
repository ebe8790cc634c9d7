"""The ensemble's models: the same stages as in the fused graph, with tensors between them (:mod:`graph`).

A request that cannot be answered goes through as that of somebody anonymous, so that no tensor is ever empty;
the last stage puts the problem in its place.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from recstack_triton_templates import matrices
from recstack_triton_templates.explain import Trace, told
from recstack_triton_templates.graph import LAST, REPLY, REQUEST, TIMED, time_name
from recstack_triton_templates.lines import Asked, Reply, answered, read
from recstack_triton_templates.online import Known, OnlineStore
from recstack_triton_templates.package import Package
from recstack_triton_templates.recommender import capped_values, ordering
from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.request import Request
from recstack_triton_templates.stages.feast_item_lookup import Items, ItemTable, lookup
from recstack_triton_templates.stages.filter_seen_items import first_fetch, unseen
from recstack_triton_templates.stages.softmax_sampling import top
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.stages.trending import TrendingStore, mix
from recstack_triton_templates.stages.unroll_features import unroll
from recstack_triton_templates.trends import NO_TREND, Trend, Trends

Tensors = Mapping[str, Array]
PROBLEM_ROWS = 1
"""Candidates of a request that has a problem."""


class Parts:
    """A method for each stage, named as it: tensors to tensors; ``run`` calls it.

    Each reads what it needs of the package.

    Args:
        package: of the version.
        settings: of the stack.
        online: what this stage reads of the online store; None: nothing.
        clock: seconds since 1970, UTC.
        retrieve: rows [n] of the retrieval stage for a query [1, D] and a number wanted, for the filter.
        items: as they are online; None: as in the package.
        trending: None: retrieval is the only source.
    """

    def __init__(
        self,
        package: Package,
        settings: ServingSettings,
        online: OnlineStore | None,
        clock: Callable[[], float],
        retrieve: Callable[[Array, int], Array],
        *,
        items: Items | None = None,
        trending: TrendingStore | None = None,
    ) -> None:
        self._package, self._settings, self._online, self._clock = package, settings, online, clock
        self._retrieve, self._items = retrieve, items
        self._trends = None if trending is None else Trends(trending, settings, package.items.ids)

    def run(self, stage: str, tensors: Tensors) -> Tensors:
        """What the stage gives, and how long it took."""
        began = time.perf_counter()
        outputs: Tensors = getattr(self, stage)(tensors)
        if stage == LAST:
            return outputs
        return {**outputs, time_name(stage): np.array([(time.perf_counter() - began) * 1000], np.float32)}

    def warm(self, stage: str) -> None:
        """Read what the stage needs before the first request.

        Raises:
            ValueError: parts that do not fit each other, or settings that name what is not there.
        """
        package = self._package
        needs: Mapping[str, Callable[[], object]] = {
            "context_preprocessor": lambda: package.context,
            "feast_user_lookup": lambda: package.users,
            "nvt_user_transform": lambda: package.user_transform,
            "nvt_context_transform": lambda: package.context_transform,
            "query_tower": lambda: package.query_tower,
            "faiss_retrieval": package.check_items,
            "filter_seen_items": lambda: package.items,
            "feast_item_lookup": lambda: package.items,
            "multimodal_embedding_lookup": lambda: package.item_embeddings,
            "dlrm_ranking": lambda: package.ranker,
            "softmax_sampling": self._values,
            "item_id_decoder": lambda: package.decoder,
        }
        needs.get(stage, lambda: None)()

    def _values(self) -> Array | None:
        if self._settings.max_per_value_feature is None:
            return None  # this stage's process needs no items then
        return capped_values(self._settings, self._current())

    def _current(self) -> ItemTable:
        return self._package.items if self._items is None else self._items.current

    def context_preprocessor(self, tensors: Tensors) -> Tensors:
        """What is asked, line by line."""
        asked = read(tensors[REQUEST].tobytes(), self._package.context, self._clock())
        problems = [one if isinstance(one, str) else None for one in asked]
        nothing = Asked(Request(k=1, candidates=PROBLEM_ROWS, plain=True), {})
        whole = [nothing if isinstance(one, str) else one for one in asked]
        requests = [one.request for one in whole]
        counts = [one.candidates or self._settings.candidates for one in requests]
        person = [one.user_id is not None for one in requests]
        filtered = [
            self._settings.seen_filter and who and not one.plain
            for one, who in zip(requests, person, strict=True)
        ]
        return {
            "PROBLEMS": matrices.to_bytes(json.dumps(problems).encode()),
            "USER_ID": _integers([one.user_id or 0 for one in requests]),
            "PERSON": np.array(person),
            "PLAIN": np.array([one.plain for one in requests]),
            "COUNT": _integers(counts),
            "TOP": _integers([self._settings.top_k if one.k is None else one.k for one in requests]),
            "SEED": _integers([secrets.randbits(62) if one.seed is None else one.seed for one in requests]),
            "FETCH": _integers([first_fetch(c, f) for c, f in zip(counts, filtered, strict=True)]),
            "EXPLAIN": np.array([one.explain for one in requests]),
            "CONTEXT": matrices.write_raw([one.context for one in whole]),
        }

    def feast_user_lookup(self, tensors: Tensors) -> Tensors:
        """Raw columns of the users."""
        requests = _persons(tensors)
        known = self._known(requests)
        users = self._package.users
        raws = [
            users.known(one.user_id) if of.user is None else of.user
            for one, of in zip(requests, known, strict=True)
        ]
        degraded = np.array([one.degraded for one in known])
        return {"USER": matrices.write_raw(raws), "USER_DEGRADED": degraded}

    def nvt_user_transform(self, tensors: Tensors) -> Tensors:
        """Raw columns to features."""
        raws = matrices.read_raw(tensors["USER"])
        features = self._package.user_transform.batch(raws)
        return {"USER_FEATURES": matrices.pack(features, self._package.features["user"], len(raws))}

    def nvt_context_transform(self, tensors: Tensors) -> Tensors:
        """Raw columns to features."""
        raws = matrices.read_raw(tensors["CONTEXT"])
        features = self._package.context_transform.batch(raws)
        return {"CONTEXT_FEATURES": matrices.pack(features, self._package.features["context"], len(raws))}

    def query_tower(self, tensors: Tensors) -> Tensors:
        """Embeddings of the queries."""
        features = matrices.unpack(tensors["USER_FEATURES"], self._package.dtypes("user"))
        return {"QUERY": self._package.query_tower(features)}

    def faiss_retrieval(self, tensors: Tensors) -> Tensors:
        """Nearest rows; each request has as many as it wants, padded."""
        rows = self._package.retrieval(tensors["QUERY"], tensors["FETCH"].tolist())
        return {"ROWS": matrices.pad(rows, -1, "int64")}

    def filter_seen_items(self, tensors: Tensors) -> Tensors:
        """Candidates that were not seen; asks the retrieval again while there are too few."""
        ids = self._package.items.ids
        known = self._known(_persons(tensors))
        candidates, sources, counts, degraded = [], [], [], []
        for place, (count, trend) in enumerate(
            zip(tensors["COUNT"].tolist(), self._trend(tensors), strict=True)
        ):
            seen = known[place].seen
            trace = Trace(0.0)
            rows = tensors["ROWS"][place]
            rows = rows[rows >= 0]
            trace.retrieved("faiss_retrieval", rows)
            if seen is None:
                rows = rows[:count]
            else:
                again = partial(self._again, tensors["QUERY"][place : place + 1], trace)
                rows = unseen(
                    rows, int(tensors["FETCH"][place]), again, ids, count=count, seen=trace.watched(seen)
                )
            rows, source = mix(rows, trend.rows, ids, seen=seen, wanted=trend.wanted, count=count)
            candidates.append(rows)
            sources.append(source)
            counts.append(trace.rounds)
            degraded.append(known[place].incomplete or trend.down)
        return {
            "CANDIDATES": matrices.pad(candidates, -1, "int64"),
            "SOURCES": matrices.pad(sources, 0, "uint8"),
            "COUNTS": np.array(counts, np.int64),
            "DEGRADED": np.array(degraded),
        }

    def _again(self, query: Array, trace: Trace, wanted: int) -> Array:
        rows = self._retrieve(query, wanted)
        trace.retrieved("faiss_retrieval", rows)
        return rows

    def _trend(self, tensors: Tensors) -> list[Trend]:
        plain = tensors["PLAIN"].tolist()
        if self._trends is None:
            return [NO_TREND] * len(plain)
        return self._trends.of(matrices.read_raw(tensors["USER"]), plain)

    def _known(self, requests: Sequence[Request]) -> list[Known]:
        return [Known()] * len(requests) if self._online is None else self._online.fetch(requests)

    def feast_item_lookup(self, tensors: Tensors) -> Tensors:
        """Features of the candidates, encoded."""
        candidates = tensors["CANDIDATES"]
        rows = np.maximum(candidates.reshape(-1), 0)
        plain = np.repeat(tensors["PLAIN"], candidates.shape[1])
        found = lookup(self._current(), self._package.items, rows, plain)
        return {"ITEMS": matrices.pack(found, self._package.features["item"], len(rows))}

    def nvt_item_transform(self, tensors: Tensors) -> Tensors:
        """As they are: the transform ran when the table was made."""
        return {"ITEM_FEATURES": tensors["ITEMS"]}

    def multimodal_embedding_lookup(self, tensors: Tensors) -> Tensors:
        """Vectors of the candidates beside their features; a package may hold none."""
        rows = np.maximum(tensors["CANDIDATES"].reshape(-1), 0)
        vectors = self._package.item_embeddings(rows)
        return {"ITEM_INPUTS": matrices.beside(tensors["ITEM_FEATURES"], vectors)}

    def unroll_features(self, tensors: Tensors) -> Tensors:
        """All features of each candidate: its request's and its own."""
        user, context = tensors["USER_FEATURES"], tensors["CONTEXT_FEATURES"]
        items, vectors = matrices.split(tensors["ITEM_INPUTS"], self._package.embeddings)
        owners = np.repeat(np.arange(len(user)), len(items) // len(user))
        names = self._package.features
        requests = _columns(user, names["user"]) | _columns(context, names["context"])
        columns = unroll(requests, _columns(items, names["item"]) | vectors, owners)
        return {"FEATURES": np.concatenate(list(columns.values()), axis=1)}

    def dlrm_ranking(self, tensors: Tensors) -> Tensors:
        """Scores of all candidates of all requests at once."""
        package = self._package
        features, vectors = matrices.split(tensors["FEATURES"], package.embeddings)
        dtypes = package.dtypes("user") | package.dtypes("context") | package.dtypes("item")
        columns = {name: value[:, None] for name, value in matrices.unpack(features, dtypes).items()}
        return {"SCORES": package.ranker(columns | vectors, len(features))}

    def softmax_sampling(self, tensors: Tensors) -> Tensors:
        """The order of each reply."""
        candidates = tensors["CANDIDATES"]
        scores = tensors["SCORES"].reshape(candidates.shape)
        order, capped = ordering(self._settings), self._values()
        rows, own_scores, places = [], [], []
        for place, count in enumerate(tensors["TOP"].tolist()):
            there = candidates[place] >= 0
            own, own_score = candidates[place][there], scores[place][there]
            if tensors["PLAIN"][place]:
                positions = top(own_score, count)
            else:
                values = None if capped is None else capped[own]
                positions = order(own_score, count, int(tensors["SEED"][place]), values)
            rows.append(own[positions])
            own_scores.append(own_score[positions])
            places.append(positions)
        return {
            "ORDER": matrices.pad(rows, -1, "int64"),
            "ORDER_SCORES": matrices.pad(own_scores, 0, "float32"),
            "POSITIONS": matrices.pad(places, -1, "int64"),
        }

    def item_id_decoder(self, tensors: Tensors) -> Tensors:
        """The replies as JSON."""

        def reply(place: int) -> Reply:
            there = tensors["ORDER"][place] >= 0
            items = self._package.decoder(
                tensors["ORDER"][place][there], tensors["ORDER_SCORES"][place][there]
            )
            degraded = bool(tensors["DEGRADED"][place] or tensors["USER_DEGRADED"][place])
            return Reply(items, degraded, self._told(tensors, place, items))

        content = answered(json.loads(tensors["PROBLEMS"].tobytes()), reply)
        return {REPLY: matrices.to_bytes(content)[None]}

    def _told(self, tensors: Tensors, place: int, items: list[dict[str, Any]]) -> dict[str, Any] | None:
        """How the reply came about; times are those of the whole call."""
        if not tensors["EXPLAIN"][place]:
            return None
        sources, order = tensors["SOURCES"][place], tensors["POSITIONS"][place]
        retrieved, seen = tensors["COUNTS"][place].tolist()
        counts = told(
            items,
            order[order >= 0],
            sources[sources > 0],
            catalog=len(self._package.items.ids),
            retrieved=retrieved,
            seen=seen,
        )
        stages = {stage: round(float(tensors[time_name(stage)][0]), 4) for stage in TIMED}
        return {"stages": stages, "candidates": counts}


def _persons(tensors: Tensors) -> list[Request]:
    """Of each request what decides what is read for it."""
    asked = zip(*(tensors[name].tolist() for name in ("USER_ID", "PERSON", "PLAIN")), strict=True)
    return [Request(user if person else None, plain=plain) for user, person, plain in asked]


def _integers(values: list[int]) -> Array:
    return np.array(values, np.int64)


def _columns(matrix: Array, names: Sequence[str]) -> dict[str, Array]:
    return {name: matrix[:, column] for column, name in enumerate(names)}
