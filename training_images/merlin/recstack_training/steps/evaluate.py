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

Slices (``population.py``): of a slice of users the requests and scored pairs of those users; of a slice of
items the relevant and listed items, and the scored pairs, that are among those; places in the list stay.

``indexRecall``: mean over at most ``EXACT`` requests of the share of the exact ``CANDIDATES`` nearest items
that the package's index finds.

``unseenItems``: as above, with the items of the user's training days taken out of lists and relevant items,
as the seen filter would; users who only came back to what they had seen have no request there.

Relative gates: the live version's package answers the same requests and scores the same events, with its own
vocabularies, features and catalog; what it does not know of users it takes the default for, and an item that
it lacks it cannot list and scores lowest. Its lists are in the candidate's rows then.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from recstack_crds.v1alpha1.models import Gate
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_triton_templates.stages.transforms import Array

from recstack_training import gates, index, measures, packages, report
from recstack_training.artifacts import open_store
from recstack_training.bundle import PARTS, files
from recstack_training.context import Context, Made
from recstack_training.dataset import load, seen
from recstack_training.heldout import HeldOut, Measured, contains, to_pairs
from recstack_training.measures import Floats, Ints
from recstack_training.population import ALL, Slice, population
from recstack_training.served import CANDIDATES, Bundle
from recstack_training.steps.ingest import found

EXACT = 256
"""Requests whose candidates are compared with those of exact search."""
METRICS = (
    *(f"{name}@{k}" for name in ("recall", "ndcg") for k in (5, 10, 20)),
    "coverage@10", "novelty@10", "auc", "calibrationError",
)  # fmt: skip
"""What is always measured; gates add theirs."""
WHOLE = gates.LIFT, gates.INDEX_RECALL
"""What is measured over all requests only."""
BASELINE = "popularity/recall@10"


def popular(item: Ints, items: int) -> Ints:
    """All rows of the catalog by falling number of events; ties to the smaller id."""
    order: Ints = np.argsort(-np.bincount(item, minlength=items), kind="stable")
    return order


def _top(rows: Ints, user: Ints, items: int, taken: Ints | None) -> Ints:
    """The first ``K`` of each list [N, C] that are not in the pairs ``taken``; -1 where there are too few."""
    if taken is None:
        return rows[:, : measures.K]
    free = ~contains(taken, user[:, None] * items + rows)
    order = np.argsort(~free, axis=1, kind="stable")[:, : measures.K]
    return np.where(np.take_along_axis(free, order, 1), np.take_along_axis(rows, order, 1), -1)


def list_metrics(
    rows: Ints, user: Ints, pairs: Ints, items: int, taken: Ints | None = None
) -> dict[str, float]:
    """Metrics of lists ``rows`` [N, C] for ``user`` [N] against relevant ``pairs``.

    ``taken`` pairs count neither as listed nor as relevant.
    """
    relevant = pairs if taken is None else pairs[~contains(taken, pairs)]
    count = np.bincount(relevant // items, minlength=int(user.max()) + 1)[user]
    asked = count > 0
    if not asked.any():
        return {"requests": 0}
    rows, user, count = rows[asked], user[asked], count[asked]
    top = _top(rows, user, items, taken)
    hits = contains(relevant, user[:, None] * items + top) & (top >= 0)
    return {
        "requests": len(user),
        "recall@10": float(measures.recall(hits, count).mean()),
        "ndcg@10": float(measures.ndcg(hits, count).mean()),
    }


def _candidate_recall(rows: Ints, held_out: HeldOut, items: int) -> float:
    asked = held_out.asked
    count = np.bincount(asked.pairs // items, minlength=int(asked.user.max()) + 1)[asked.user]
    hits = contains(asked.pairs, asked.user[:, None] * items + rows)
    return float(measures.recall(hits, count).mean())


def live_measured(ctx: Context, held_out: HeldOut, folder: Path) -> Measured | None:
    """The live version on the candidate's held-out days; None when there is none or no gate asks for it."""
    relative = [gate for gate in ctx.recipe.evaluation.gates if gate.relative_to is not None]
    if not ctx.live or not relative:
        return None
    parts = packages.fetch(open_store(ctx.artifacts), ctx.live, folder)
    bundle = Bundle(parts, Recipe.model_validate_json(parts["recipe.json"].read_text()))
    asked = held_out.asked
    rows = bundle.recommend(asked.ids, held_out.context(asked.event)).rows
    ranked = any(gate.metric == "auc" for gate in relative)
    return Measured(held_out, held_out.lists(bundle, rows), held_out.score(bundle) if ranked else None)


def by_slice(
    measured: Measured, slices: Mapping[str, Slice], wanted: list[str]
) -> dict[str, dict[str, float | None]]:
    """Every metric of every slice, null where there is nothing to measure; requests of recall and ndcg."""
    return {
        name: {
            **{metric: measured.value(metric, of) for metric in wanted if metric not in WHOLE},
            "requests": measured.requests(of),
        }
        for name, of in slices.items()
    }


def request_values(
    asked: Gate, number: int, slices: Mapping[str, Slice], versions: Mapping[str, Measured]
) -> dict[str, Floats]:
    """What a relative gate's bound is made of: sums and counts [N, T] of each version."""
    of = slices.get(asked.slice or ALL)
    out: dict[str, Floats] = {}
    for name, measured in versions.items():
        parts = None if of is None else measured.per_request(asked.metric, of)
        if parts is not None:
            out |= {f"gate{number}.{name}.sums": parts.sums, f"gate{number}.{name}.counts": parts.counts}
    return out


def skew_of(ctx: Context) -> dict[str, Any]:
    """What the features step found of skew; nothing where no such feature was logged."""
    done = json.loads((ctx.folder("features") / "done.json").read_text())
    return {"skew": done["skew"]} if done.get("skew") else {}


def run(ctx: Context, folder: Path) -> Made:
    """Write ``evaluation.json``, values by request and the report; metrics and the verdicts of the gates."""
    parts = files(ctx, ctx.before("evaluate"))
    bundle = Bundle(parts, ctx.recipe)
    items, seed = len(bundle.item_ids), ctx.recipe.training.seed
    log, train = load(ctx, "heldout"), seen(ctx)
    held_out = HeldOut.of(log, train, bundle.item_ids, ctx.recipe.models.ranking.negatives, seed)
    asked, taken = held_out.asked, to_pairs(train.user, train.item, items)
    # Longer than ten, so that it can be filled after seen items are taken out.
    served = bundle.recommend(asked.ids, held_out.context(asked.event)).rows
    everywhere = np.broadcast_to(
        popular(train.item, items)[:CANDIDATES], (len(asked.user), min(CANDIDATES, items))
    )
    candidate = Measured(held_out, served, held_out.score(bundle))
    with TemporaryDirectory(dir=folder) as scratch:
        live = live_measured(ctx, held_out, Path(scratch))

    tables, evaluation = ctx.recipe.data.tables, ctx.recipe.evaluation
    of_all = population(
        evaluation, found(ctx), (tables.users, log.user_ids), (tables.items, bundle.item_ids), train
    )
    slices = {one.name: one for one in of_all}
    lists = {"served": served, "popularity": everywhere}
    whole = {n: list_metrics(rows, asked.user, asked.pairs, items) for n, rows in lists.items()}
    unseen = {n: list_metrics(rows, asked.user, asked.pairs, items, taken) for n, rows in lists.items()}
    baseline = whole["popularity"]["recall@10"]
    lift = whole["served"]["recall@10"] / max(baseline, 1 / len(asked.user))
    some = bundle.user(asked.ids[:EXACT])
    nearest = bundle.retrieve(some, CANDIDATES)
    exact = index.exact(np.load(parts["item_embeddings.npy"]), bundle.embed(some), CANDIDATES)
    overall = {gates.LIFT: lift, gates.INDEX_RECALL: index.recall(nearest, exact)}
    wanted = list(dict.fromkeys([*METRICS, *(gate.metric for gate in evaluation.held_out_gates)]))
    found_by_slice = by_slice(candidate, slices, wanted)
    verdicts = [
        gates.judge(gate, slices, candidate, live, overall=overall, seed=seed + number)
        for number, gate in enumerate(evaluation.held_out_gates)
    ]
    retrieval = {
        "candidates": served.shape[1],
        "recall@candidates": _candidate_recall(served, held_out, items),
        gates.INDEX_RECALL: overall[gates.INDEX_RECALL],
    }
    metrics = {name: value for name in wanted if (value := found_by_slice[ALL].get(name)) is not None}
    metrics |= overall
    result: dict[str, Any] = {
        "metrics": metrics,
        **whole,
        "slices": found_by_slice,
        "gates": [verdict.model_dump(by_alias=True, exclude_none=True) for verdict in verdicts],
        "live": ctx.live,
        "ranker": {"positives": len(held_out.events), "negatives": int(held_out.counted[:, 1:].sum())},
        "retrieval": retrieval,
        "unseenItems": unseen,
        "heldOutEvents": len(log.user),
        **skew_of(ctx),
    }
    root = folder / PARTS
    root.mkdir()
    (root / "evaluation.json").write_text(json.dumps(result, sort_keys=True, allow_nan=False))
    values: dict[str, Array] = {"user": asked.ids}
    for metric in METRICS:
        if "@" in metric and not metric.startswith("coverage"):
            one = candidate.per_request(metric, slices[ALL])
            values |= {} if one is None else {metric: one.sums[:, 0].astype(np.float32)}
    versions = {"candidate": candidate} | ({} if live is None else {"live": live})
    for number, gate in enumerate(evaluation.held_out_gates):
        if gate.relative_to is not None:
            values |= request_values(gate, number, slices, versions)
    np.savez_compressed(root / "evaluation_requests.npz", **values)
    other = None if live is None else by_slice(live, slices, ["recall@10"])
    report.write(
        root, ctx, result, verdicts=verdicts, reliability=candidate.reliability(slices[ALL]), live=other
    )
    # The termination message is short: what is always measured; by slice it stands in the report.
    told = {name: float(f"{metrics[name]:.6g}") for name in (*METRICS, *WHOLE) if name in metrics}
    return Made({**told, BASELINE: float(f"{baseline:.6g}")}, None, tuple(result["gates"]))
