"""Functions that a recipe names, as NVTabular's ``LambdaOp`` runs them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np
import pandas as pd
from recstack_crds.v1alpha1.features import Feature

from recstack_training.errors import BadInput

FOLDER = "nvtabular"
"""Of the package, with a workflow for each operator that is not compiled."""


def place(feature: Feature, index: int) -> str:
    """Folder of an operator's workflow in the package."""
    return f"{FOLDER}/{feature.name}.{index}"


@cache
def function(path: str) -> Callable[[pd.Series], pd.Series]:
    """What ``module:function`` names.

    Raises:
        BadInput: there is no such function here.
    """
    module, name = path.split(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        found = error
    if not callable(found):
        raise BadInput(
            "UnknownFunction",
            f"LambdaOp: {path} is no function of the training image ({found}); build an image that has it.",
        )
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Lambda:
    """What ``LambdaOp`` runs: a function of the image, by its name, so that a saved workflow finds it."""

    path: str

    def __call__(self, column: pd.Series) -> pd.Series:
        """Numbers [N] of numbers [N]; what is not finite counts as 0, or no model could take it."""
        with np.errstate(all="ignore"):
            values = np.asarray(function(self.path)(column.astype(np.float64)), dtype=np.float32)
        if values.shape != column.shape:
            raise ValueError(f"an array of shape {values.shape} for one of {column.shape}")
        return pd.Series(np.where(np.isfinite(values), values, np.float32(0)), index=column.index)


def tried(feature: Feature, path: str) -> Lambda:
    """What a ``LambdaOp`` of ``feature`` runs.

    Raises:
        BadInput: there is none, it fails, or it does not give a number for each.
    """
    made = Lambda(path)
    try:
        made(pd.Series([0.0, 1.0]))
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            "FunctionFailed",
            f"{feature.name}: LambdaOp's {path} fails with 0 and 1 ({error!r}); it takes a series of numbers "
            "and gives one of as many.",
            column=feature.column,
        ) from error
    return made
