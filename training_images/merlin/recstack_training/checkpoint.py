"""Weights of a model as plain arrays, and the proof that a model which was put together again is the same.

Beside the weights lies a batch with the loss that the model had on it at the end of its training. A model
that is loaded has to give that loss again before it is trained on: a loss that was compiled otherwise, or
weights in another order, would go unnoticed and ruin it slowly.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recstack_training.dataset import arrays
from recstack_training.merlin_tf import dataset

Prepare = Callable[[Any], Any]
"""Gives a loader with what is not a column of its rows."""
ROWS = 512
"""Rows of the batch, at most."""
TOLERANCE = 1e-4
"""Relative; the same arithmetic on another kind of CPU differs by 1e-6."""


def batch(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that the loss is told of."""
    return frame.iloc[:ROWS].reset_index(drop=True)


def loss_on(model: Any, mm: Any, columns: Any, prepare: Prepare, rows: pd.DataFrame) -> float:
    """The compiled loss of ``model`` on ``rows`` of ``columns``, as one batch that ``prepare`` completes."""
    loader = mm.Loader(dataset(rows, schema=columns), batch_size=len(rows), shuffle=False)
    return float(model.evaluate(prepare(loader), verbose=0, return_dict=True)["loss"])


def _weights(model: Any) -> list[Any]:
    """The model's numbers; Merlin keeps a flag of its own among them."""
    return [weight for weight in model.weights if weight.dtype.is_floating]


def save(path: Path, model: Any, mm: Any, columns: Any, prepare: Prepare, *, rows: pd.DataFrame) -> None:
    """Write the weights, ``rows`` and the loss on them."""
    weights = {f"weight.{number:04d}": weight.numpy() for number, weight in enumerate(_weights(model))}
    probe = {f"probe.{name}": rows[name].to_numpy() for name in rows.columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, loss=np.float64(loss_on(model, mm, columns, prepare, rows)), **weights, **probe)


def restore(path: Path, model: Any, mm: Any, columns: Any, prepare: Prepare) -> None:
    """Put the weights into ``model``, which is compiled and was never fitted.

    Raises:
        RuntimeError: they do not fit, or the loss is another than the one before.
    """
    stored = arrays(path)
    rows = pd.DataFrame(
        {name.removeprefix("probe."): value for name, value in stored.items() if name.startswith("probe.")}
    )
    loss_on(model, mm, columns, prepare, rows)  # builds the model's variables
    weights = [stored[name] for name in sorted(stored) if name.startswith("weight.")]
    shapes = [tuple(weight.shape) for weight in _weights(model)]
    if shapes != [weight.shape for weight in weights]:
        raise RuntimeError(f"{path.name} has other weights than the recipe's model: {shapes}")
    for variable, weight in zip(_weights(model), weights, strict=True):
        variable.assign(weight)
    before, after = float(stored["loss"]), loss_on(model, mm, columns, prepare, rows)
    if not np.isclose(before, after, rtol=TOLERANCE, atol=1e-6):
        raise RuntimeError(
            f"{path.name}: the loss was {before} when it was saved and is {after} after it was loaded"
        )
