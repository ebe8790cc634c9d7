"""Small packages with random networks, by the contract of docs/spec/package.md, in two schemas.

The probe's answers come from plain NumPy, so that they check the stages and the ONNX graphs.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from recstack_triton_templates.stages.dlrm_ranking import REQUESTS

Array = npt.NDArray[Any]
FIRST = 3
NOW = 1_704_067_200


@dataclass(frozen=True)
class Feature:
    """``ops``: Categorify of the given raw ``values``, or numeric operators."""

    name: str
    column: str
    ops: tuple[dict[str, Any], ...] = ()
    values: tuple[int | str, ...] = ()
    mean: float = 0.0

    @property
    def category(self) -> bool:
        return bool(self.values)

    def transform(self) -> dict[str, Any]:
        if self.category:
            op = {"op": "Categorify", "vocab": f"{self.name}.values", "codes": f"{self.name}.codes"}
            return {"column": self.column, "dtype": "int64", "ops": [op], "default": {"code": 2}}
        return {
            "column": self.column,
            "dtype": "float32",
            "ops": list(self.ops),
            "default": {"raw": self.mean},
        }


@dataclass(frozen=True)
class Schema:
    user: tuple[Feature, ...]
    item: tuple[Feature, ...]
    context: tuple[Feature, ...]
    columns: dict[str, str]
    users: int = 50
    items: int = 400
    embeddings: tuple[tuple[str, int], ...] = ()


def category(name: str, values: Sequence[int | str]) -> Feature:
    return Feature(name, name, values=tuple(values))


def _time(op: str) -> Feature:
    return Feature(op.lower(), "timestamp", ({"op": op},))


RETAIL = Schema(
    user=(
        category("user_id", range(1, 51)),
        category("gender", ["F", "M"]),
        Feature("age_norm", "age", ({"op": "Normalize", "mean": 40.0, "std": 12.0},), mean=40.0),
        Feature(
            "age_scaled",
            "age",
            (
                {"op": "FillMissing", "value": 61.0},
                {"op": "Clip", "min": 20.0, "max": None},
                {"op": "NormalizeMinMax", "min": 20.0, "max": 65.0},
            ),
            mean=61.0,
        ),
    ),
    item=(category("item_id", range(1000, 1400)), category("category_l1", ["a", "b", "c"])),
    context=(category("device_type", [0, 1, 2]), _time("HourSin"), _time("HourCos")),
    columns={"user": "user_id", "item": "item_id", "timestamp": "timestamp"},
)
FILMS = Schema(
    user=(category("viewer", range(1, 51)),),
    item=(category("film", range(1000, 1400)), category("genre", ["comedy", "drama"])),
    context=(),
    columns={"user": "viewer", "item": "film", "timestamp": "seen_at"},
)
ILLUSTRATED = replace(RETAIL, embeddings=(("words", 6), ("look", 3)))
"""Retail with vectors of pictures and texts, in an order that is not the alphabet's."""
ROOT = "nvtabular/age_root.1"
BESIDE = replace(
    RETAIL,
    user=(
        *RETAIL.user,
        Feature(
            "age_root",
            "age",
            ({"op": "FillMissing", "value": 27.0}, {"op": "NVTabular", "workflow": ROOT}),
            mean=27.0,
        ),
    ),
)
"""Retail with an operator that is not compiled."""
DIM = 8


def _number(op: dict[str, Any], raw: float) -> float:
    angle = 2 * np.pi * (int(raw) // 3600 % 24) / 24
    if op["op"] == "NVTabular":
        return float(np.float32(np.cbrt(raw)))
    if op["op"] == "Normalize":
        return float((raw - op["mean"]) / op["std"])
    if op["op"] == "FillMissing":
        return raw
    if op["op"] == "Clip":
        return float(max(raw, op["min"]))
    if op["op"] == "NormalizeMinMax":
        return float((raw - op["min"]) / (op["max"] - op["min"]))
    return float(np.sin(angle) if op["op"] == "HourSin" else np.cos(angle))


class SamplePackage:
    """Weights and tables of one package; ``seed`` decides them."""

    def __init__(self, schema: Schema, seed: int, index: str = "Flat") -> None:
        random = np.random.default_rng(seed)
        self._index = index
        self.schema, self.seed = schema, seed
        self.vocabularies = {}
        self.tables: dict[str, Array] = {}
        for feature in (*schema.user, *schema.item, *schema.context):
            rows = FIRST + len(feature.values) if feature.category else 1
            self.tables[feature.name] = random.normal(size=(rows, DIM)).astype(np.float32)
            if feature.category:
                self.vocabularies[f"{feature.name}.values"] = np.sort(np.array(feature.values))
                self.vocabularies[f"{feature.name}.codes"] = np.arange(FIRST, rows, dtype=np.int64)
        self.user_ids = np.arange(1, schema.users + 1, dtype=np.int64)
        self.item_ids = np.arange(1000, 1000 + schema.items, dtype=np.int64)
        self.users = {f.column: self._raw(f, self.user_ids, random) for f in schema.user}
        self.items = {
            f.name: random.integers(FIRST, FIRST + len(f.values), schema.items) for f in schema.item
        }
        self.items[schema.item[0].name] = np.arange(FIRST, FIRST + schema.items)
        self.nulls = {"age": np.arange(schema.users) % 10 == 0} if "age" in self.users else {}
        embeddings = random.normal(size=(schema.items, DIM)).astype(np.float32)
        self.embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        self.vectors = {
            name: random.normal(size=(schema.items, width)).astype(np.float32)
            for name, width in schema.embeddings
        }
        self.projections = {
            name: random.normal(size=(width, DIM)).astype(np.float32) for name, width in schema.embeddings
        }

    @staticmethod
    def _raw(feature: Feature, ids: Array, random: np.random.Generator) -> Array:
        if not feature.category:
            return random.integers(18, 70, len(ids)).astype(np.float64)
        return ids if len(feature.values) == len(ids) else random.choice(np.array(feature.values), len(ids))

    def _sum(self, codes: Mapping[str, Array]) -> Array:
        total: Array = sum(
            (
                self.tables[k][v] if self._feature(k).category else v[:, None] * self.tables[k][0]
                for k, v in codes.items()
            ),
            start=np.zeros((1, DIM), np.float32),
        )
        return total

    def _feature(self, name: str) -> Feature:
        schema = self.schema
        return next(f for f in (*schema.user, *schema.item, *schema.context) if f.name == name)

    def _encode(self, feature: Feature, value: Any) -> Array:
        if feature.category:
            values = sorted(feature.values)
            code = 2 if value is None else FIRST + values.index(value) if value in values else 2
            return np.array([code])
        raw = feature.mean if value is None else float(value)
        for op in feature.ops:
            raw = _number(op, raw)
        return np.array([raw], np.float32)

    def expected(
        self,
        user_id: int | None,
        context: Mapping[str, Any],
        candidates: int,
        raw: Mapping[str, Any] | None = None,
    ) -> tuple[list[int], list[float]]:
        """Ranked item ids and scores, without filter and diversity; every needed context value is given.

        ``raw``: the user's values by column, in place of the package's.
        """
        values = self._user(user_id) if raw is None else raw
        user = {f.name: self._encode(f, values.get(f.column)) for f in self.schema.user}
        embedding = self._sum(user)
        embedding = embedding / np.linalg.norm(embedding)
        rows = np.argsort(-(self.embeddings @ embedding[0]), kind="stable")[:candidates]
        request = user | {f.name: self._encode(f, context.get(f.column)) for f in self.schema.context}
        item = self._sum({k: v[rows] for k, v in self.items.items()})
        for name, projection in self.projections.items():
            item = item + self.vectors[name][rows] @ projection
        logits = item @ self._sum(request)[0] / DIM
        scores = 1 / (1 + np.exp(-logits))
        order = np.argsort(-scores, kind="stable")
        return self.item_ids[rows[order]].tolist(), scores[order].tolist()

    def _user(self, user_id: int | None) -> dict[str, Any]:
        if user_id is None or user_id not in self.user_ids:
            return {}
        row = int(user_id) - 1
        null = {column for column, mask in self.nulls.items() if mask[row]}
        return {column: values[row].item() for column, values in self.users.items() if column not in null}

    def write(self, artifacts: Path, version: str = "sample", operators: Path | None = None) -> str:
        """Publish under ``<artifacts>/packages/<hex>``; returns the digest, ``sha256:<hex>``.

        ``operators``: folder with workflows for what is not compiled.
        """
        schema = self.schema
        folder = artifacts / f"writing-{version}"
        folder.mkdir(parents=True)
        if operators is not None:
            shutil.copytree(operators, folder, dirs_exist_ok=True)
        compiled = {f.name: f.transform() for f in (*schema.user, *schema.item, *schema.context)}
        (folder / "transforms.json").write_text(json.dumps(compiled))
        np.savez(folder / "vocab.npz", **self.vocabularies)
        np.savez(folder / "items.npz", __id__=self.item_ids, **self.items)
        nulls = {f"__null__.{name}": mask for name, mask in self.nulls.items()}
        np.savez(folder / "users.npz", __id__=self.user_ids, **self.users, **nulls)
        np.save(folder / "item_embeddings.npy", self.embeddings)
        titles = [None if i == 1000 else f"Título {i}" for i in self.item_ids.tolist()]
        (folder / "titles.json").write_text(json.dumps(titles))
        faiss.write_index(build_index(self.embeddings, self._index), str(folder / "index.faiss"))
        for name, table in self.vectors.items():
            (folder / "embeddings").mkdir(exist_ok=True)
            np.save(folder / "embeddings" / f"{name}.npy", table)
        onnx.save(self._query_tower(), str(folder / "query_tower.onnx"))
        onnx.save(self._ranker(), str(folder / "ranker.onnx"))
        (folder / "probe.json").write_text(json.dumps(self._probe()))
        (folder / "evaluation.json").write_text("{}")
        ids = {"users": {"id": schema.columns["user"]}, "items": {"id": schema.columns["item"]}}
        (folder / "recipe.json").write_text(json.dumps({"data": {"tables": ids}}))
        parts = {
            str(path.relative_to(folder)): {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        manifest = {
            "schemaVersion": 1,
            "stack": "shop/retail",
            "version": version,
            "parts": parts,
            "columns": schema.columns,
            "features": {
                "user": [f.name for f in schema.user],
                "item": [f.name for f in schema.item],
                "context": [f.name for f in schema.context],
            },
            **(
                {"embeddings": [{"name": n, "dim": w} for n, w in schema.embeddings]}
                if schema.embeddings
                else {}
            ),
            **(
                {"nvtabular": [{"feature": "age_root", "operator": "LambdaOp numpy:cbrt"}]}
                if operators
                else {}
            ),
            "retrieval": {"dim": DIM, "items": schema.items},
            "metrics": {},
            "lineage": {},
        }
        content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        (folder / "manifest.json").write_bytes(content)
        (artifacts / "packages").mkdir(exist_ok=True)
        folder.rename(artifacts / "packages" / digest)
        return f"sha256:{digest}"

    def _probe(self) -> list[dict[str, Any]]:
        context = {"timestamp": NOW, "device_type": 1} if self.schema.context else {}
        answers = []
        for user in (1, 17, 999_999, None):
            # Of an index that may miss some: all, as it then has to find every one.
            candidates = 10 if self._index == "Flat" else self.schema.items
            items, scores = self.expected(user, context, candidates)
            answers.append(
                {
                    "user_id": user,
                    "context": context,
                    "candidates": candidates,
                    "items": items,
                    "scores": scores,
                }
            )
        return answers

    def _query_tower(self) -> Any:
        nodes, weights, total = self._graph_sum(self.schema.user, "q")
        nodes.append(helper.make_node("LpNormalization", [total], ["embedding"], axis=1, p=2))
        return _model(nodes, weights, self.schema.user, [None], "embedding", [None, DIM])

    def _ranker(self) -> Any:
        schema = self.schema
        request = (*schema.user, *schema.context)
        nodes, weights, left = self._graph_sum(request, "r")
        more, more_weights, right = self._graph_sum(schema.item, "i")
        parts = [right]
        for name, projection in self.projections.items():
            more_weights.append(numpy_helper.from_array(projection, f"e.{name}.projection"))
            more.append(helper.make_node("MatMul", [name, f"e.{name}.projection"], [f"e.{name}"]))
            parts.append(f"e.{name}")
        more.append(helper.make_node("Sum", parts, ["item"]))
        axes = numpy_helper.from_array(np.array([1]), "axes")
        scale = numpy_helper.from_array(np.array(DIM, np.float32), "scale")
        nodes += [
            *more,
            helper.make_node("Mul", [left, "item"], ["product"]),
            helper.make_node("ReduceSum", ["product", "axes"], ["dot"], keepdims=1),
            helper.make_node("Div", ["dot", "scale"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["score"]),
        ]
        inputs = (*request, *schema.item)
        return _model(
            nodes, [*weights, *more_weights, axes, scale], inputs, [None, 1], "score", [None, 1],
            vectors=schema.embeddings, once=request,
        )  # fmt: skip

    def _graph_sum(self, features: Sequence[Feature], prefix: str) -> tuple[list[Any], list[Any], str]:
        shape = numpy_helper.from_array(np.array([-1]), f"{prefix}.flat")
        row = numpy_helper.from_array(np.array([-1, 1]), f"{prefix}.row")
        nodes, weights, parts = [], [shape, row], []
        for feature in features:
            name = feature.name
            weights.append(numpy_helper.from_array(self.tables[name], f"{prefix}.{name}.table"))
            if feature.category:
                nodes.append(helper.make_node("Reshape", [name, f"{prefix}.flat"], [f"{prefix}.{name}.flat"]))
                inputs = [f"{prefix}.{name}.table", f"{prefix}.{name}.flat"]
                nodes.append(helper.make_node("Gather", inputs, [f"{prefix}.{name}"]))
            else:
                nodes.append(helper.make_node("Reshape", [name, f"{prefix}.row"], [f"{prefix}.{name}.row"]))
                inputs = [f"{prefix}.{name}.row", f"{prefix}.{name}.table"]
                nodes.append(helper.make_node("MatMul", inputs, [f"{prefix}.{name}"]))
            parts.append(f"{prefix}.{name}")
        nodes.append(helper.make_node("Sum", parts, [f"{prefix}.sum"]))
        return nodes, weights, f"{prefix}.sum"


def build_index(vectors: Array, kind: str) -> Any:
    """An index of ``vectors`` [I, D]; the approximate ones miss much, so that what is done about it shows."""
    dim = vectors.shape[1]
    index = faiss.IndexHNSWFlat(dim, 4, faiss.METRIC_INNER_PRODUCT)
    if kind == "IVF":
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, 16, faiss.METRIC_INNER_PRODUCT)
        index.cp.min_points_per_centroid = 1
        index.train(vectors)
    elif kind == "Flat":
        index = faiss.IndexFlatIP(dim)
    index.add(vectors)
    return index


def _model(
    nodes: list[Any],
    weights: list[Any],
    inputs: Sequence[Feature],
    shape: list[int | None],
    output: str,
    output_shape: list[int | None],
    vectors: tuple[tuple[str, int], ...] = (),
    once: Sequence[Feature] = (),
) -> Any:
    values = [
        helper.make_tensor_value_info(
            f.name,
            TensorProto.INT64 if f.category else TensorProto.FLOAT,
            [REQUESTS, *shape[1:]] if f in once else shape,
        )
        for f in inputs
    ]
    values += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name, width in vectors
    ]
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)
    graph = helper.make_graph(nodes, "sample", values, [result], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model
