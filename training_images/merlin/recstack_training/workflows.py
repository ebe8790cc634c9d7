"""NVTabular workflows of the declared features, and what a fitted one has learned."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recstack_crds.v1alpha1.features import Feature, Op
from recstack_triton_templates.stages.transforms import FIRST, OUT_OF_VOCABULARY, TIME, Array

from recstack_training.merlin_tf import dataset, on_cpu

with warnings.catch_warnings():
    # NVTabular warns of deprecations in its own imports.
    warnings.simplefilter("ignore")
    import nvtabular as nvt


def is_category(feature: Feature) -> bool:
    """Whether the feature ends as an integer code."""
    return feature.ops[-1].op is Op.CATEGORIFY


def takes_number(feature: Feature) -> bool:
    """Whether the raw column is a number whose nulls become its mean."""
    return feature.ops[0].op in (Op.NORMALIZE, Op.LOG, Op.BUCKETIZE)


def _operator(feature: Feature, index: int, out_path: Path) -> Any:
    operator = feature.ops[index]
    match operator.op:
        case Op.CATEGORIFY:
            return nvt.ops.Categorify(out_path=str(out_path), dtype=np.int64)
        case Op.NORMALIZE:
            return nvt.ops.Normalize(out_dtype=np.float32)
        case Op.LOG:
            return nvt.ops.LogOp()
        case Op.BUCKETIZE:
            return nvt.ops.Bucketize({feature.name: operator.boundaries})
        case _:
            return nvt.ops.LambdaOp(TIME[operator.op.value], dtype=np.float32)


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
            node = node >> nvt.ops.FillMissing(fill_val=means[feature.column])
        for index in range(len(feature.ops)):
            node = node >> _operator(feature, index, scratch)
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


def compile_feature(
    workflow: Any, feature: Feature, means: dict[str, float]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """One entry of ``transforms.json`` and the vocabulary arrays that it refers to."""
    arrays: dict[str, Array] = {}
    ops: list[dict[str, Any]] = []
    for operator in feature.ops:
        entry: dict[str, Any] = {"op": operator.op.value}
        if operator.op is Op.CATEGORIFY:
            entry |= {"vocab": f"{feature.name}.vocab", "codes": f"{feature.name}.codes"}
            arrays[entry["vocab"]], arrays[entry["codes"]] = _vocabulary(workflow, feature.name)
        elif operator.op is Op.NORMALIZE:
            fitted = next(o for o in _fitted(workflow, nvt.ops.Normalize) if feature.name in o.means)
            entry |= {"mean": fitted.means[feature.name], "std": fitted.stds[feature.name]}
        elif operator.op is Op.BUCKETIZE:
            entry["boundaries"] = operator.boundaries
        ops.append(entry)
    if takes_number(feature):
        default: dict[str, Any] = {"raw": means[feature.column]}
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
