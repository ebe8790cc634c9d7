"""Raw columns survive an npz file, nulls included."""

from pathlib import Path

import numpy as np
import pandas as pd
from recstack_training.columns import pack, unpack
from recstack_training.dataset import arrays

TABLE = pd.DataFrame(
    {
        "text": ["a", None, "ccc"],
        "number": [1.5, np.nan, 3.0],
        "whole": [1, 2, 3],
        "void": np.array([None, None, None], dtype=object),
        "gaps": np.array([4, None, 6], dtype=object),
    }
)


def test_round_trip(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **pack(TABLE, [*TABLE.columns, "whole"]))
    stored = arrays(tmp_path / "x.npz")
    assert stored["text"].dtype.kind == "U"
    assert stored["__null__.text"].tolist() == [False, True, False]
    assert "__null__.whole" not in stored
    back = unpack(stored)
    assert back["text"].tolist() == ["a", None, "ccc"]
    assert back["whole"].tolist() == [1, 2, 3]
    assert back["void"].tolist() == [None, None, None]
    assert back["gaps"].tolist() == [4, None, 6]
    np.testing.assert_array_equal(back["number"], [1.5, np.nan, 3.0])
