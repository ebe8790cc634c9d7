"""Put the parts together, add the probe, publish under the digest of the manifest."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recstack_training import offline, packages
from recstack_training.artifacts import open_store
from recstack_training.bundle import PARTS, files
from recstack_training.context import Context, Made
from recstack_training.dataset import Encoded, load
from recstack_training.gates import INDEX_RECALL
from recstack_training.index import INDEX
from recstack_training.parents import Parent
from recstack_training.served import Bundle
from recstack_training.steps.embed import LINEAGE

PROBE_CANDIDATES = 10


def _value(column: np.ndarray[Any, Any], row: int) -> Any:
    """A raw value as JSON has it; null for NaN."""
    value = column[row : row + 1].tolist()[0]
    return None if isinstance(value, float) and math.isnan(value) else value


def probe(ctx: Context, bundle: Bundle, log: Encoded) -> list[dict[str, Any]]:
    """Requests with the answers of these files: two known users, one unknown, one anonymous.

    Known users ask in the context of events in the held-out ``log``, the others with the time only.
    """
    time = ctx.recipe.data.tables.interactions.timestamp
    unknown = int(log.user_ids.max()) + 1
    rows = (0, len(log.user) - 1)
    asked: list[tuple[int | None, dict[str, Any]]] = [
        (int(log.user_ids[log.user[row]]),
         {**{name: _value(column, row) for name, column in log.raw.items()}, time: int(log.time[row])})
        for row in rows
    ]  # fmt: skip
    asked += [(user, {time: int(log.time[0])}) for user in (unknown, None)]
    out = []
    for user, context in asked:
        known = {name: np.array([context[name]]) for name in log.raw if context.get(name) is not None}
        answer = bundle.recommend(np.array([unknown if user is None else user]), known, PROBE_CANDIDATES)
        out.append({
            "user_id": user,
            "context": context,
            "candidates": answer.rows.shape[1],
            "items": bundle.item_ids[answer.rows[0]].tolist(),
            "scores": answer.scores[0].tolist(),
        })  # fmt: skip
    return out


def days(state: Mapping[str, Any], parent: Parent | None) -> dict[str, Any]:
    """First and last day, from which day on events were held out, and which older ones were replayed."""
    return {
        "first": state["days"][0],
        "last": state["days"][-1],
        "heldOut": state["days"][state["train"]],
        **({} if parent is None else {"replay": state["replay"]}),
    }


def run(ctx: Context, folder: Path) -> Made:
    """Publish the package; its metrics and digest."""
    root = folder / PARTS
    root.mkdir()
    trained = files(ctx, ctx.before("package"))
    bundle = Bundle(trained, ctx.recipe, threads=1)
    (root / "probe.json").write_bytes(packages.canonical(probe(ctx, bundle, load(ctx, "heldout"))))
    (root / "recipe.json").write_bytes(packages.canonical(ctx.recipe.model_dump(mode="json", by_alias=True)))
    parts = trained | {path.name: path for path in sorted(root.iterdir())}
    metrics = json.loads(parts["evaluation.json"].read_text())["metrics"]
    tables, features = ctx.recipe.data.tables, ctx.recipe.features
    state = json.loads((ctx.folder("ingest") / "tables.json").read_text())
    embeddings = features.embeddings
    encoders = json.loads((ctx.folder("embed") / LINEAGE).read_text()) if embeddings else []
    manifest = {
        "schemaVersion": 1,
        "stack": ctx.stack,
        "version": ctx.version,
        "columns": {
            "user": tables.interactions.user,
            "item": tables.interactions.item,
            "timestamp": tables.interactions.timestamp,
        },
        "features": {kind: [f.name for f in getattr(features, kind)] for kind in ("user", "item", "context")},
        "embeddings": [{"name": one.name, "dim": one.dim} for one in embeddings],
        "nvtabular": json.loads((ctx.folder("features") / "done.json").read_text()).get("notCompiled", []),
        "retrieval": {
            "dim": bundle.retrieval.dim,
            "items": bundle.retrieval.items,
            "index": json.loads((ctx.folder("train-retrieval") / INDEX).read_text()),
            INDEX_RECALL: metrics[INDEX_RECALL],
        },
        "metrics": metrics,
        "lineage": {
            "data": state["lineage"],
            "encoders": encoders,
            "kind": ctx.kind.value,
            "days": days(state, Parent.of(ctx)),
            "image": ctx.image,
            "parent": ctx.parent or None,
            "itemTower": "frozen" if ctx.parent else "trained",
            "seed": ctx.recipe.training.seed,
        },
    }
    store = open_store(ctx.artifacts)
    # Before the package: who sees that finds its features in the offline store.
    offline.publish(store, ctx.folder("features") / offline.FOLDER, ctx.stack, ctx.version)
    digest = packages.publish(store, parts, manifest, folder)
    return Made(metrics, digest)
