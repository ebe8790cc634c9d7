"""NVTabular workflows of the declared features, and what a fitted one has learned."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recstack_crds.v1alpha1.features import Feature, Op
from recstack_triton_templates.stages import transforms
from recstack_triton_templates.stages.transforms import FIRST, OUT_OF_VOCABULARY, TIME, Array

from recstack_training import lambdas
from recstack_training.errors import BadInput
from recstack_training.merlin_tf import dataset, on_cpu

with warnings.catch_warnings():
    # NVTabular warns of deprecations in its own imports.
    warnings.simplefilter("ignore")
    import nvtabular as nvt


NUMERIC = frozenset(
    {Op.NORMALIZE, Op.LOG, Op.BUCKETIZE, Op.CLIP, Op.NORMALIZE_MIN_MAX, Op.FILL_MISSING, Op.LAMBDA}
)
ALONE = 20
"""Rows that an operator which is not compiled is tried with one by one."""


def is_category(feature: Feature) -> bool:
    """Whether the feature ends as an integer code."""
    return feature.ops[-1].op in (Op.CATEGORIFY, Op.HASH_BUCKET)


def takes_number(feature: Feature) -> bool:
    """Whether the raw column is a number whose nulls become its mean or FillMissing's value."""
    return feature.ops[0].op in NUMERIC


def _fill(feature: Feature, means: dict[str, float]) -> float:
    """What stands for a null number."""
    value = feature.ops[0].value
    return means[feature.column] if value is None else value


@dataclass(frozen=True)
class HashBucket:
    """What ``LambdaOp`` runs for HashBucket: the function that serving runs, too."""

    feature: str
    buckets: int
    text: bool

    def __call__(self, column: pd.Series) -> Array:
        """Codes [N] of texts or whole numbers [N]."""
        values = column.astype(object).where(column.notna(), None).to_numpy()
        return transforms.hash_bucket(values, self.buckets, self.text)


def _operator(feature: Feature, index: int, out_path: Path, text: bool) -> Any:
    operator = feature.ops[index]
    made: Any
    match operator.op:
        case Op.CATEGORIFY:
            made = nvt.ops.Categorify(out_path=str(out_path), dtype=np.int64)
        case Op.NORMALIZE:
            made = nvt.ops.Normalize(out_dtype=np.float32)
        case Op.NORMALIZE_MIN_MAX:
            made = nvt.ops.NormalizeMinMax(out_dtype=np.float32)
        case Op.LOG:
            made = nvt.ops.LogOp()
        case Op.CLIP:
            made = nvt.ops.Clip(min_value=operator.min, max_value=operator.max)
        case Op.BUCKETIZE:
            made = nvt.ops.Bucketize({feature.name: operator.boundaries})
        case Op.LAMBDA if operator.function:
            made = nvt.ops.LambdaOp(
                lambdas.tried(feature, operator.function), label="LambdaOp", dtype=np.float32
            )
        case Op.HASH_BUCKET if operator.num_buckets:
            function = HashBucket(feature.name, operator.num_buckets, text)
            made = nvt.ops.LambdaOp(function, label="HashBucket", dtype=np.int64)
        case _:
            made = nvt.ops.LambdaOp(TIME[operator.op.value], dtype=np.float32)
    return made


def typed(features: Sequence[Feature], table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with types that stay the same whether a column has nulls or not.

    A workflow that was fitted on int64 refuses a null later; so numbers are float64 and whole categories
    Int64, which keeps every digit of a large id.
    """
    numbers = {f.column for f in features if takes_number(f)}
    types = {column: "float64" for column in numbers}
    for feature in features:
        if is_category(feature) and feature.column not in numbers and not _is_text(table[feature.column]):
            types[feature.column] = "Int64"
    return table.astype(types)


def _is_text(column: pd.Series) -> bool:
    return column.dtype.kind == "O" and any(isinstance(value, str) for value in column)


def fit(features: Sequence[Feature], table: pd.DataFrame, means: dict[str, float], scratch: Path) -> Any:
    """Fit one workflow on ``table``; each feature is a chain of its own from column to name.

    ``means`` has the raw mean by column, put in place of nulls of numbers. ``scratch`` takes NVTabular's
    vocabulary files until the workflow is saved.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    outputs = None
    for feature in features:
        node = [feature.column]
        if feature.name != feature.column:
            node = node >> nvt.ops.Rename(name=feature.name)
        if takes_number(feature):
            node = node >> nvt.ops.FillMissing(fill_val=_fill(feature, means))
        for index, operator in enumerate(feature.ops):
            if operator.op is not Op.FILL_MISSING:  # stands above
                node = node >> _operator(feature, index, scratch, _is_text(table[feature.column]))
        outputs = node if outputs is None else outputs + node
    workflow = nvt.Workflow(outputs)
    with on_cpu():
        workflow.fit(dataset(typed(features, table)))
    return workflow


def run(workflow: Any, features: Sequence[Feature], table: pd.DataFrame) -> dict[str, Array]:
    """Transform ``table``; arrays [N] by feature name, float32 or int64."""
    frame = workflow.transform(typed(features, table))
    return {
        name: frame[name].to_numpy().astype(np.int64 if frame[name].dtype.kind in "iu" else np.float32)
        for name in frame.columns
    }


def prove(feature: Feature, compiled: dict[str, Any], vocabularies: dict[str, Array],
          raw: Array, expected: Array) -> None:  # fmt: skip
    """See that a compiled feature gives of ``raw`` [N] what the workflow gave, ``expected`` [N].

    Raises:
        BadInput: it does not; such a version must not be served.
    """
    got = transforms.apply(compiled, raw, vocabularies)
    if transforms.not_compiled({feature.name: compiled}):
        # A few by themselves: a function that looks at other rows would serve something else than it trained.
        few = np.linspace(0, len(raw) - 1, min(len(raw), ALONE)).astype(int)
        for row in few:
            got[row] = transforms.apply(compiled, raw[row : row + 1], vocabularies)[0]
    same = got == expected if got.dtype.kind == "i" else np.isclose(got, expected, 1e-5, 1e-5, equal_nan=True)
    if not same.all():
        first = int(np.flatnonzero(~same)[0])
        raise BadInput(
            "NotCompiled",
            f"{feature.name}: serving would differ from the NVTabular workflow in {(~same).sum()} of "
            f"{len(raw)} rows, first of {raw[first]!r}: {got[first]}, expected {expected[first]}; "
            "change its operators, or a LambdaOp's function, whose result may depend on the value alone.",
            column=feature.column,
        )


def of_operator(column: str, feature: Feature, index: int) -> Any:
    """A workflow of one operator that is not fitted, from ``column`` to ``column``."""
    workflow = nvt.Workflow([column] >> _operator(feature, index, Path(), False))
    with on_cpu():
        workflow.fit(dataset(pd.DataFrame({column: [0.0]})))
    return workflow


def load(path: Path) -> Any:
    """A saved workflow."""
    return nvt.Workflow.load(str(path))


def save(workflow: Any, path: Path) -> None:
    """Save with its vocabularies; loads after being moved. The same workflow gives the same bytes."""
    workflow.save(str(path))
    about = json.loads((path / "metadata.json").read_text())
    del about["generated_timestamp"]
    (path / "metadata.json").write_text(json.dumps(about, sort_keys=True))


def _fitted(workflow: Any, kind: type) -> list[Any]:
    """All operators of a class in the workflow's graph."""
    seen, todo, found = set(), [workflow.output_node], []
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        todo.extend(node.parents_with_dependencies)
        if isinstance(node.op, kind):
            found.append(node.op)
    return found


def _vocabulary(workflow: Any, name: str) -> tuple[Array, Array]:
    """Sorted raw values and their codes, from the file that the fitted Categorify refers to."""
    for operator in _fitted(workflow, nvt.ops.Categorify):
        if name in operator.categories:
            column = pd.read_parquet(operator.categories[name])[name]
            raw = column.to_numpy()
            codes = np.arange(FIRST, FIRST + len(raw), dtype=np.int64)
            values = raw.astype(str) if _is_text(column) else raw.astype(np.int64)
            order = np.argsort(values, kind="stable")
            return values[order], codes[order]
    raise KeyError(name)


def size(feature: Feature, arrays: dict[str, Array]) -> int:
    """Number of codes of a compiled feature; 0 for a number. ``arrays``: its vocabulary."""
    if not is_category(feature):
        return 0
    buckets = feature.ops[-1].num_buckets
    return FIRST + (buckets if buckets else len(next(a for n, a in arrays.items() if n.endswith(".codes"))))


def _declared(feature: Feature, index: int) -> dict[str, Any]:
    """What of an operator's entry is declared, not fitted."""
    operator = feature.ops[index]
    match operator.op:
        case Op.LAMBDA:
            return {"op": transforms.NOT_COMPILED, "workflow": lambdas.place(feature, index)}
        case Op.BUCKETIZE:
            more: dict[str, Any] = {"boundaries": operator.boundaries}
        case Op.FILL_MISSING:
            more = {"value": operator.value}
        case Op.CLIP:
            more = {"min": operator.min, "max": operator.max}
        case _:
            more = {}
    return {"op": operator.op.value, **more}


def compile_feature(
    workflow: Any, feature: Feature, means: dict[str, float]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """One entry of ``transforms.json`` and the vocabulary arrays that it refers to."""
    arrays: dict[str, Array] = {}
    ops: list[dict[str, Any]] = []
    for index, operator in enumerate(feature.ops):
        entry = _declared(feature, index)
        if operator.op is Op.CATEGORIFY:
            entry |= {"vocab": f"{feature.name}.vocab", "codes": f"{feature.name}.codes"}
            arrays[entry["vocab"]], arrays[entry["codes"]] = _vocabulary(workflow, feature.name)
        elif operator.op is Op.NORMALIZE:
            fitted = next(o for o in _fitted(workflow, nvt.ops.Normalize) if feature.name in o.means)
            entry |= {"mean": fitted.means[feature.name], "std": fitted.stds[feature.name]}
        elif operator.op is Op.NORMALIZE_MIN_MAX:
            limits = next(o for o in _fitted(workflow, nvt.ops.NormalizeMinMax) if feature.name in o.mins)
            entry |= {"min": float(limits.mins[feature.name]), "max": float(limits.maxs[feature.name])}
            if not entry["min"] < entry["max"]:
                raise BadInput(
                    "OneValue",
                    f"{feature.name}: all values of {feature.column} are the same to NormalizeMinMax, which "
                    "needs two; drop the feature, or widen its Clip.",
                    column=feature.column,
                )
        elif operator.op is Op.HASH_BUCKET:
            functions = (o.f for o in _fitted(workflow, nvt.ops.LambdaOp))
            hashing = next(f for f in functions if isinstance(f, HashBucket) and f.feature == feature.name)
            entry |= {"buckets": hashing.buckets, "text": hashing.text}
        ops.append(entry)
    if takes_number(feature):
        default: dict[str, Any] = {"raw": _fill(feature, means)}
    elif is_category(feature):
        default = {"code": OUT_OF_VOCABULARY}
    else:
        default = {"raw": 0}
    return {
        "column": feature.column,
        "dtype": "int64" if is_category(feature) else "float32",
        "ops": ops,
        "default": default,
    }, arrays
