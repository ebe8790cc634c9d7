"""Cold start."""

import numpy as np
import pytest
from recstack_crds.v1alpha1.features import Features
from recstack_training.masking import masked
from recstack_triton_templates.stages.transforms import OUT_OF_VOCABULARY


def test_masks_categories_of_some_rows_together_and_leaves_numbers() -> None:
    features = Features().user
    columns = {f.name: np.full(20_000, 7) for f in features}
    out = masked(features, columns, 0.05, np.random.default_rng(0))
    hidden = out["user_id"] == OUT_OF_VOCABULARY
    assert hidden.mean() == pytest.approx(0.05, abs=0.01)
    for name in ("gender", "top_category"):
        assert ((out[name] == OUT_OF_VOCABULARY) == hidden).all()
    for name in ("age_norm", "age_binned"):
        assert (out[name] == 7).all()
    assert (columns["user_id"] == 7).all(), "the input is not changed"


def test_no_features_no_columns() -> None:
    assert masked([], {}, 0.5, np.random.default_rng(0)) == {}
