"""Measure the bundle on the held-out days, through the very files that will be served.

A *request* is one user's: the user id and the raw context of that user's first event in the held-out days.
Its *relevant* items are all the items the user has an event with in the held-out days. Users are those of
the user table with a held-out event, with or without training events; when they are more than ``REQUESTS``,
every so many-th in order of id. Served list: ``CANDIDATES`` items of the index, ranked, best ``K``. Items
seen in the training days are not removed, neither from this list nor from popularity's.

recall@10: mean over requests of |top 10 and relevant| / |relevant|. ndcg@10: binary relevance, log2 discount.
Popularity: the same list for all, the items with most events in the training days, ties to the smaller id.
``recall@10/popularity``: ratio of both recalls; a popularity without any hit counts as one request's worth.

auc: the ranker's scores of held-out events (at most ``POSITIVES``, evenly spaced in the log) against sampled
negatives: for each positive as many as ``models.ranking.negatives``, with the same user and context and the
item of a random held-out event, so by popularity: event
``default_rng(training.seed).integers(events, size=(positives, negatives))``. Pairs of user and item that are
held-out events themselves are taken out.

``newItems``: as above, with the items of the user's training days taken out of lists and relevant items,
as the seen filter would; users who only came back to what they had seen have no request there.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from recstack_crds.v1alpha1.models import Metric
from recstack_triton_templates.stages.transforms import Array

from recstack_training import measures
from recstack_training.bundle import PARTS, files
from recstack_training.context import Context
from recstack_training.dataset import Encoded, load
from recstack_training.served import CANDIDATES, Bundle, Ints, slices

REQUESTS = 5_000
POSITIVES = 50_000
EXACT = 256
"""Requests whose candidates are compared with those of exact search."""


@dataclass(frozen=True)
class Requests:
    """N requests: user rows, ids, row in the log of the first event; the relevant (user, item) pairs."""

    user: Ints
    ids: Ints
    event: Ints
    pairs: Ints


def _pairs(user: Ints, item: Ints, items: int) -> Ints:
    """Distinct pairs as sorted ``user * items + item``."""
    pairs: Ints = np.unique(user * items + item)
    return pairs


def _contains(sorted_keys: Ints, keys: Ints) -> measures.Bools:
    """Which of ``keys``, any shape, are in ``sorted_keys``."""
    if len(sorted_keys) == 0:
        return np.zeros(keys.shape, dtype=bool)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    found: measures.Bools = sorted_keys[place] == keys
    return found


def requests(log: Encoded, ids: Ints, items: int) -> Requests:
    """The requests of the held-out ``log``; ``ids`` [U] are the raw user ids."""
    order = np.argsort(log.time, kind="stable")
    users, first = np.unique(log.user[order], return_index=True)
    first = order[first]
    step = -(-len(users) // REQUESTS)
    users, first = users[::step], first[::step]
    return Requests(users, ids[users], first, _pairs(log.user, log.item, items))


def popular(item: Ints, items: int) -> Ints:
    """All rows of the catalog by falling number of events; ties to the smaller id."""
    order: Ints = np.argsort(-np.bincount(item, minlength=items), kind="stable")
    return order


def _top(rows: Ints, user: Ints, items: int, taken: Ints | None) -> Ints:
    """The first ``K`` of each list [N, C] that are not in the pairs ``taken``; -1 where there are too few."""
    if taken is None:
        return rows[:, : measures.K]
    free = ~_contains(taken, user[:, None] * items + rows)
    order = np.argsort(~free, axis=1, kind="stable")[:, : measures.K]
    return np.where(np.take_along_axis(free, order, 1), np.take_along_axis(rows, order, 1), -1)


def list_metrics(
    rows: Ints, user: Ints, pairs: Ints, items: int, taken: Ints | None = None
) -> dict[str, float]:
    """Metrics of lists ``rows`` [N, C] for ``user`` [N] against relevant ``pairs``.

    ``taken`` pairs count neither as listed nor as relevant.
    """
    relevant = pairs if taken is None else pairs[~_contains(taken, pairs)]
    count = np.bincount(relevant // items, minlength=int(user.max()) + 1)[user]
    asked = count > 0
    if not asked.any():
        return {"requests": 0}
    rows, user, count = rows[asked], user[asked], count[asked]
    top = _top(rows, user, items, taken)
    hits = _contains(relevant, user[:, None] * items + top) & (top >= 0)
    return {
        "requests": len(user),
        "recall@10": float(measures.recall(hits, count).mean()),
        "ndcg@10": float(measures.ndcg(hits, count).mean()),
    }


def _auc(ctx: Context, bundle: Bundle, log: Encoded, ids: Ints, pairs: Ints) -> dict[str, float]:
    items, negatives = len(bundle.item_ids), ctx.recipe.models.ranking.negatives
    chosen = np.arange(0, len(log.user), -(-len(log.user) // POSITIVES))
    rng = np.random.default_rng(ctx.recipe.training.seed)
    drawn = log.item[rng.integers(len(log.item), size=(len(chosen), negatives))]
    rows = np.concatenate([log.item[chosen][:, None], drawn], axis=1)
    scores = np.concatenate([
        bundle.score(bundle.user(ids[log.user[part]]),
                     bundle.context({k: v[part] for k, v in log.raw.items()}, len(part)), rows[where])
        for where in slices(len(chosen), 4096) for part in (chosen[where],)
    ])  # fmt: skip
    true_negative = ~_contains(pairs, log.user[chosen][:, None] * items + drawn)
    return {
        "auc": measures.auc(scores[:, 0], scores[:, 1:][true_negative]),
        "positives": len(chosen),
        "negatives": int(true_negative.sum()),
    }


def exact_overlap(vectors: Array, queries: Array, found: Ints) -> float:
    """Share of the exact nearest items of ``queries`` [N, D] among those ``found`` [N, C] by the index."""
    exact = faiss.IndexFlatIP(vectors.shape[1])
    exact.add(vectors)
    wanted = exact.search(queries, found.shape[1])[1]
    return float(np.mean([np.isin(w, f).mean() for w, f in zip(wanted, found, strict=True)]))


def run(ctx: Context, folder: Path) -> tuple[dict[str, float], None]:
    """Write ``evaluation.json``; the metrics that gates may ask."""
    parts = files(ctx, ("features", "train-retrieval", "train-ranking"))
    bundle = Bundle(parts, ctx.recipe)
    items = len(bundle.item_ids)
    log, train = load(ctx, "heldout"), load(ctx, "train")
    asked = requests(log, log.user_ids, items)
    taken = _pairs(train.user, train.item, items)
    context = {name: column[asked.event] for name, column in log.raw.items()}
    # Longer than ten, so that it can be filled after seen items are taken out.
    served = bundle.recommend(asked.ids, context)
    favourites = popular(train.item, items)
    everywhere = np.broadcast_to(favourites[:CANDIDATES], (len(asked.user), min(CANDIDATES, items)))

    lists = {"served": served.rows, "popularity": everywhere}
    metrics = {n: list_metrics(rows, asked.user, asked.pairs, items) for n, rows in lists.items()}
    new = {n: list_metrics(rows, asked.user, asked.pairs, items, taken) for n, rows in lists.items()}
    ranker = _auc(ctx, bundle, log, log.user_ids, asked.pairs)
    some = bundle.user(asked.ids[:EXACT])
    retrieval = {
        "candidates": served.rows.shape[1],
        "recall@candidates": float(_candidate_recall(served.rows, asked, items)),
        "exactSearchOverlap": exact_overlap(
            np.load(parts["item_embeddings.npy"]), bundle.embed(some), bundle.retrieve(some, CANDIDATES)
        ),
    }
    floor = 1 / len(asked.user)
    recall, baseline = (metrics[name]["recall@10"] for name in ("served", "popularity"))
    gates = {
        Metric.RECALL_AT_10.value: recall,
        Metric.NDCG_AT_10.value: metrics["served"]["ndcg@10"],
        Metric.AUC.value: ranker["auc"],
        Metric.RECALL_LIFT.value: recall / max(baseline, floor),
    }
    report = {"metrics": gates, **metrics, "ranker": ranker, "retrieval": retrieval, "newItems": new,
              "heldOutEvents": len(log.user)}  # fmt: skip
    (folder / PARTS).mkdir()
    (folder / PARTS / "evaluation.json").write_text(json.dumps(report, sort_keys=True))
    return {**gates, "popularity/recall@10": baseline}, None


def _candidate_recall(rows: Ints, asked: Requests, items: int) -> float:
    count = np.bincount(asked.pairs // items, minlength=int(asked.user.max()) + 1)[asked.user]
    hits = _contains(asked.pairs, asked.user[:, None] * items + rows)
    return float(measures.recall(hits, count).mean())
