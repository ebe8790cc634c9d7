"""Recompute recall@10 and AUC from the raw Parquet files and a package alone; compare with the package's own.

Nothing of the training code is used: transforms, retrieval and metrics are written again here, plainly, after
docs/spec/package.md and docs/training.md. Exit status 1 when a value differs by more than 1e-4 or a part of
the package is not what its manifest says.

    python benchmarks/recompute_metrics.py --package artifacts/packages/<hex> --data data/
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime
import pandas as pd

K, CANDIDATES, REQUESTS, POSITIVES = 10, 300, 5_000, 50_000
TOLERANCE = 1e-4

Json = dict[str, Any]
ARITHMETIC: dict[str, Callable[[Any, Json], Any]] = {
    "Normalize": lambda v, op: (v - op["mean"]) / (op["std"] or 1),
    "LogOp": lambda v, _: math.log(v + 1),
    "Bucketize": lambda v, op: sum(v >= bound for bound in op["boundaries"]),
    "NormalizeMinMax": lambda v, op: (v - op["min"]) / (op["max"] - op["min"]),
    "Clip": lambda v, op: min(
        max(v, -math.inf if op["min"] is None else op["min"]), math.inf if op["max"] is None else op["max"]
    ),
    "FillMissing": lambda v, _: v,  # what is missing took the default
    "HourSin": lambda t, _: math.sin(math.tau / 24 * (t // 3600 % 24)),
    "HourCos": lambda t, _: math.cos(math.tau / 24 * (t // 3600 % 24)),
    "WeekdaySin": lambda t, _: math.sin(math.tau / 7 * ((t // 86400 + 3) % 7)),
    "WeekdayCos": lambda t, _: math.cos(math.tau / 7 * ((t // 86400 + 3) % 7)),
}


def check_digests(package: Path) -> Json:
    """The manifest, after every part was hashed."""
    content = (package / "manifest.json").read_bytes()
    if hashlib.sha256(content).hexdigest() != package.name:
        sys.exit(f"{package}: the manifest's digest is not the folder's name")
    manifest: Json = json.loads(content)
    for name, part in manifest["parts"].items():
        if hashlib.sha256((package / name).read_bytes()).hexdigest() != part["sha256"]:
            sys.exit(f"{package / name}: wrong digest")
    return manifest


class Package:
    """Transforms, networks and index of a package."""

    def __init__(self, folder: Path) -> None:
        self.manifest = check_digests(folder)
        self.recipe: Json = json.loads((folder / "recipe.json").read_text())
        self.transforms: Json = json.loads((folder / "transforms.json").read_text())
        vocabulary = np.load(folder / "vocab.npz")
        self.codes: dict[str, dict[Any, int]] = {
            key.removesuffix(".vocab"): dict(
                zip(
                    vocabulary[key].tolist(),
                    vocabulary[key.removesuffix(".vocab") + ".codes"].tolist(),
                    strict=True,
                )
            )
            for key in vocabulary.files
            if key.endswith(".vocab")
        }
        self.items = dict(np.load(folder / "items.npz"))
        self.users = dict(np.load(folder / "users.npz"))
        self.embeddings = {path.stem: np.load(path) for path in (folder / "embeddings").glob("*.npy")}
        self._index = faiss.read_index(str(folder / "index.faiss"))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.tower, self.ranker = (
            onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in ("query_tower.onnx", "ranker.onnx")
        )

    def nearest(self, query: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
        """Rows [1, count]; lists of an IVF index are searched until they hold so many."""
        rows: np.ndarray[Any, Any] = self._index.search(query, count)[1]
        probes = getattr(self._index, "nprobe", 0)
        while (rows < 0).any() and probes:
            probes *= 2
            rows = self._index.search(query, count, params=faiss.SearchParametersIVF(nprobe=probes))[1]
        return rows

    def encode(self, name: str, value: Any) -> float | int:
        """One raw value of one feature; None: nothing is known of it."""
        transform = self.transforms[name]
        if value is None:
            if "code" in transform["default"]:
                return int(transform["default"]["code"])
            value = transform["default"]["raw"]
        for op in transform["ops"]:
            value = self._apply(name, op, value)
        return value  # type: ignore[no-any-return]

    def _apply(self, name: str, op: Json, value: Any) -> Any:
        if op["op"] == "Categorify":
            return self.codes[name].get(value, 2)
        if op["op"] not in ARITHMETIC:
            sys.exit(f"transforms.json has an operator that this script does not know: {op['op']}")
        return ARITHMETIC[op["op"]](value, op)

    def column(self, name: str, values: list[Any]) -> np.ndarray[Any, Any]:
        """Encoded values [N]."""
        cache: dict[Any, float | int] = {}
        encoded = [cache[v] if v in cache else cache.setdefault(v, self.encode(name, v)) for v in values]
        return np.array(encoded, dtype=self.transforms[name]["dtype"])

    def user_columns(self) -> dict[str, np.ndarray[Any, Any]]:
        """Encoded features of all users of the table."""
        out = {}
        for feature in self.recipe["features"]["user"]:
            raw = self.users[feature["column"]].tolist()
            missing = self.users.get(f"__null__.{feature['column']}", np.zeros(len(raw), bool))
            encoded = self.column(feature["name"], raw)
            if missing.any():
                null = (
                    self.encode(feature["name"], None)
                    if "raw" in self.transforms[feature["name"]]["default"]
                    else 1
                )
                encoded[missing] = null
            out[feature["name"]] = encoded
        return out

    def score(
        self, user: dict[str, Any], context: dict[str, Any], items: np.ndarray[Any, Any]
    ) -> np.ndarray[Any, Any]:
        """Scores [N, C] for features [N] and item rows [N, C]."""
        width = items.shape[1]
        feed = {k: np.repeat(v, width)[:, None] for k, v in (user | context).items()}
        feed |= {k: v[items.ravel()][:, None] for k, v in self.items.items() if k != "__id__"}
        feed |= {k: v[items.ravel()] for k, v in self.embeddings.items()}
        wanted = {i.name for i in self.ranker.get_inputs()}
        scores: np.ndarray[Any, Any] = self.ranker.run(None, {k: v for k, v in feed.items() if k in wanted})[
            0
        ]
        return scores.reshape(items.shape)


def days(root: Path, recipe: Json) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and held-out events."""
    window = recipe["data"]["window"]
    files = sorted(root.glob(recipe["data"]["tables"]["interactions"]["path"]))
    cut, end = window["trainDays"], window["trainDays"] + window["evaluationDays"]
    train, held_out = (
        pd.concat(map(pd.read_parquet, part), ignore_index=True) for part in (files[:cut], files[cut:end])
    )
    return train, held_out


def known(log: pd.DataFrame, users: pd.Index, items: pd.Index, columns: Json) -> pd.DataFrame:
    """Events of users and items of the tables, with their rows there."""
    user, item = (pd.Index(log[str(columns[name])]) for name in ("user", "item"))
    log = log.assign(u=users.get_indexer(user), i=items.get_indexer(item))
    return log[(log.u >= 0) & (log.i >= 0)].reset_index(drop=True)


def raw_context(package: Package, log: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    """Encoded context features of events."""
    out = {}
    for feature in package.recipe["features"]["context"]:
        values = [None if pd.isna(v) else v for v in log[feature["column"]].tolist()]
        out[feature["name"]] = package.column(feature["name"], values)
    return out


def recalls(package: Package, train: pd.DataFrame, held_out: pd.DataFrame) -> tuple[float, float, float]:
    """recall@10 and ndcg@10 of the served list; popularity's recall@10."""
    users, catalog = package.user_columns(), len(package.items["__id__"])
    relevant = held_out.groupby("u").i.agg(set).sort_index()
    first = held_out.sort_values(package.manifest["columns"]["timestamp"], kind="stable").groupby("u").head(1)
    first = first.set_index("u").sort_index()
    step = -(-len(relevant) // REQUESTS)
    relevant, first = relevant.iloc[::step], first.iloc[::step]
    context = raw_context(package, first)
    popular = np.argsort(-np.bincount(train.i, minlength=catalog), kind="stable")[:K]
    served, ndcg, popularity = [], [], []
    for n, (user, wanted) in enumerate(zip(relevant.index.to_numpy(), relevant, strict=True)):
        features = {name: column[user : user + 1] for name, column in users.items()}
        query = package.tower.run(None, features)[0]
        rows = package.nearest(query, min(CANDIDATES, catalog))
        scores = package.score(features, {k: v[[n]] for k, v in context.items()}, rows)[0]
        best = rows[0][np.argsort(-scores, kind="stable")[:K]]
        served.append(len(wanted & set(best.tolist())) / len(wanted))
        gain = sum(1 / math.log2(place + 2) for place, row in enumerate(best.tolist()) if row in wanted)
        ndcg.append(gain / sum(1 / math.log2(place + 2) for place in range(min(len(wanted), len(best)))))
        popularity.append(len(wanted & set(popular.tolist())) / len(wanted))
    return float(np.mean(served)), float(np.mean(ndcg)), float(np.mean(popularity))


def auc(package: Package, held_out: pd.DataFrame) -> float:
    """Of held-out events against items of other held-out events, by ranks."""
    users = package.user_columns()
    negatives, seed = (
        package.recipe["models"]["ranking"]["negatives"],
        package.manifest["lineage"]["seed"],
    )
    chosen = held_out.iloc[:: -(-len(held_out) // POSITIVES)]
    drawn = np.random.default_rng(seed).integers(len(held_out), size=(len(chosen), negatives))
    rows = np.column_stack([chosen.i, held_out.i.to_numpy()[drawn]])
    context = raw_context(package, chosen)
    features = {name: column[chosen.u] for name, column in users.items()}
    scores = np.concatenate(
        [
            package.score(
                {k: v[s : s + 1000] for k, v in features.items()},
                {k: v[s : s + 1000] for k, v in context.items()},
                rows[s : s + 1000],
            )
            for s in range(0, len(chosen), 1000)
        ]
    )
    seen = set(zip(held_out.u.tolist(), held_out.i.tolist(), strict=True))
    table = pd.DataFrame(
        {"u": np.repeat(chosen.u.to_numpy(), rows.shape[1]), "i": rows.ravel(), "score": scores.ravel()}
    )
    table["positive"] = np.arange(len(table)) % rows.shape[1] == 0
    pair = [p in seen for p in zip(table.u.tolist(), table.i.tolist(), strict=True)]
    table = table[table.positive | ~np.array(pair)]
    ranks = table.score.rank()
    positive = int(table.positive.sum())
    below = ranks[table.positive].sum() - positive * (positive + 1) / 2
    return float(below / positive / (len(table) - positive))


def main() -> int:
    """Print both values and the difference of each metric."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    package = Package(args.package)
    tables, columns = package.recipe["data"]["tables"], package.manifest["columns"]
    users, items = (
        pd.Index(np.sort(pd.read_parquet(args.data / tables[t]["path"])[tables[t]["id"]].to_numpy()))
        for t in ("users", "items")
    )
    train, held_out = (known(log, users, items, columns) for log in days(args.data, package.recipe))
    served, ndcg, popularity = recalls(package, train, held_out)
    again = {
        "recall@10": served,
        "ndcg@10": ndcg,
        "auc": auc(package, held_out),
        "recall@10/popularity": served / max(popularity, 1 / held_out.u.nunique()),
    }
    worst = 0.0
    print(f"{'metric':24}{'package':>12}{'recomputed':>12}{'difference':>12}")
    for name, value in again.items():
        stated = package.manifest["metrics"][name]
        worst = max(worst, abs(value - stated))
        print(f"{name:24}{stated:12.6f}{value:12.6f}{value - stated:12.1e}")
    print(f"{'popularity recall@10':24}{'':12}{popularity:12.6f}")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
