"""Operators that are not compiled: each is a workflow in the package, and run where that is served."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recstack_crds.v1alpha1.features import Feature, Op
from recstack_triton_templates.stages.transforms import Array

from recstack_training import lambdas, workflows
from recstack_training.merlin_tf import on_cpu

COLUMN = "value"
"""Of such a workflow."""


def save(features: Sequence[Feature], parts: Path) -> list[dict[str, str]]:
    """A workflow of its own for each operator of ``features`` that has no compiled form; tells of each."""
    found = []
    for feature in features:
        for index, operator in enumerate(feature.ops):
            if operator.op is not Op.LAMBDA:
                continue
            workflow = workflows.of_operator(COLUMN, feature, index)
            workflows.save(workflow, parts / lambdas.place(feature, index))
            found.append({"feature": feature.name, "operator": f"{operator.op.value} {operator.function}"})
    return found


def operator_in(parts: Path) -> Callable[[str], Callable[[Array], Array]]:
    """Runs operators of the package whose parts are in ``parts``, here, by the folder's name."""

    def of(place: str) -> Callable[[Array], Array]:
        workflow = workflows.load(parts / place)
        return lambda values: run(workflow, values)

    return of


def run(workflow: Any, values: Array) -> Array:
    """Numbers [N] of numbers [N], float32, by a workflow that ``save`` saved."""
    with on_cpu():
        out: Array = workflow.transform(pd.DataFrame({COLUMN: values.astype(np.float64)}))[COLUMN].to_numpy()
    return out.astype(np.float32)
