"""Negatives of the ranker are there, and enough steps to learn from them."""

import numpy as np
import pytest
from recstack_training import schema
from recstack_training.context import Context
from recstack_training.dataset import load, rows, sizes
from recstack_training.merlin_tf import dataset
from recstack_training.merlin_tf import load as load_tf
from recstack_training.steps.train_ranking import batch_size, negatives


def test_five_negatives_for_each_positive(retail: Context) -> None:
    """Share of positives 1/6, a little more as an item drawn against itself is taken out again."""
    _, mm = load_tf()
    columns = schema.build(retail.recipe, sizes(retail), target=True)
    data = load(retail, "train")
    frame = rows(retail, data, context=True, seed=1)
    frame[schema.TARGET] = np.float32(1)
    loader = mm.Loader(dataset(frame, schema=columns), batch_size=512, shuffle=False)
    inputs, target = next(iter(negatives(loader, columns, 5, seed=3)))
    target = np.asarray(target).reshape(-1)
    assert target.mean() == pytest.approx(1 / 6, abs=0.005)
    user, item = (np.asarray(inputs[name]).reshape(-1) for name in ("user_id", "item_id"))
    assert len(user) == len(item) == len(target)
    assert (user[:512] == frame["user_id"][:512]).all(), "positives are as they were"
    negative = target == 0
    assert set(item[negative]) <= set(frame["item_id"][:512])
    assert len(set(item[negative])) > 50, "drawn from the whole batch"


@pytest.mark.parametrize(
    ("rows", "most", "epochs", "expected"),
    [
        (8_000_000, 16_384, 3, 16_384),
        (125_828, 16_384, 3, 943),
        (6_000, 16_384, 1, 256),
        (100, 16_384, 1, 100),
        (125_828, 512, 3, 512),
    ],
)
def test_little_data_has_smaller_batches(rows: int, most: int, epochs: int, expected: int) -> None:
    assert batch_size(rows, most, epochs) == expected
