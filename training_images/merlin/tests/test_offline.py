"""What a version leaves for the offline store of features."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recstack_training import delete_packages, offline
from recstack_training.artifacts import open_store
from recstack_training.columns import unpack
from recstack_training.context import Context


def table(ctx: Context, view: str) -> pa.Table:
    root = Path(ctx.artifacts.removeprefix("file://"))
    return pq.read_table(root / "offline" / ctx.stack / view / f"{ctx.version}.parquet")


def test_a_version_leaves_the_tables_as_it_read_them(retail: Context) -> None:
    """Raw columns behind the declared features, once each; the values are those that pods serve with."""
    users, items = table(retail, "user_features"), table(retail, "item_features")
    assert users.column_names == ["user_id", "gender", "top_category", "age", "event_timestamp", "created"]
    assert items.column_names == [
        "item_id", "category_l1", "category_l2", "item_gender", "price", "event_timestamp", "created",
    ]  # fmt: skip
    assert (len(users), len(items)) == (300, 200)
    now = datetime.now(UTC)
    for one in (users, items):
        assert one.schema.field("event_timestamp").type == pa.timestamp("us", tz="UTC")
        (moment,) = set(one["event_timestamp"].to_pylist())
        assert now - timedelta(hours=1) < moment <= now, "when the tables were read"
    with np.load(retail.folder("features") / "parts" / "users.npz") as stored:
        served = unpack(dict(stored))
    assert users["user_id"].to_pylist() == served["__id__"].tolist()
    for name in ("gender", "top_category", "age"):
        assert users[name].to_pylist() == served[name].tolist()


def test_another_schema_has_its_own_columns(film: Context) -> None:
    users, items = table(film, "user_features"), table(film, "item_features")
    assert users.column_names == ["person", "taste", "event_timestamp", "created"]
    assert items.column_names == ["film", "genre", "year", "event_timestamp", "created"]


@pytest.mark.parametrize(
    ("values", "type", "expected"),
    [
        ([1, None, 3], pa.int64(), [1, None, 3]),
        ([1.5, np.nan], pa.float64(), [1.5, None]),
        (["a", None], pa.string(), ["a", None]),
        (pd.Categorical(["a", "b"]), pa.string(), ["a", "b"]),
        (np.array([1, 2], dtype=np.int8), pa.int64(), [1, 2]),
        (np.array([1, 2], dtype=np.float32), pa.float64(), [1.0, 2.0]),
    ],
)
def test_types_do_not_depend_on_nulls_or_width(
    tmp_path: Path, values: object, type: pa.DataType, expected: list[object]
) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object if isinstance(values, list) else None)})
    frame["id"] = range(len(frame))
    offline.write(tmp_path / "offline" / "t.parquet", frame, "id", ["x", "id", "x"], datetime.now(UTC))
    found = pq.read_table(tmp_path / "offline" / "t.parquet")
    assert found.column_names == ["id", "x", "event_timestamp", "created"]
    assert found.schema.field("x").type == type
    assert found["x"].to_pylist() == expected


def test_they_go_with_their_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"file://{tmp_path}/artifacts"
    store = open_store(uri)
    for view in (offline.USERS, offline.ITEMS):
        (tmp_path / f"{view}.parquet").write_text("content")
    for stack in ("shop/retail", "shop/films"):
        offline.publish(store, tmp_path, stack, "v1")
    monkeypatch.setattr("sys.argv", ["delete_packages", "--artifacts", uri, "--stack", "shop/retail"])
    assert delete_packages.main() == 0
    assert store.folders("offline/shop") == ["films"]
    assert delete_packages.main() == 0, "nothing left to delete is fine"
