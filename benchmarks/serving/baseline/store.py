"""Writes the Feast repo of the reference and its online features. Runs in the baseline's environment.

python -m benchmarks.serving.baseline.store PACKAGE ITEMS.parquet REPO HOST:PORT
"""

import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, String

from benchmarks.serving.baseline.stages import ITEM_RAW, ITEM_VIEW, USER_RAW, USER_VIEW


def main(package: Path, items: Path, repo: Path, valkey: str) -> None:
    """Apply both views and write every user and item."""
    repo.mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(
        f"project: reference\nprovider: local\nregistry: {repo / 'registry.db'}\n"
        f'online_store: {{type: redis, connection_string: "{valkey}"}}\n'
        "offline_store: {type: file}\nentity_key_serialization_version: 3\n"
    )
    store = FeatureStore(repo_path=str(repo))
    with np.load(package / "users.npz") as table:
        users = pd.DataFrame({"user_id": table["user_id"]} | {name: table[name] for name in USER_RAW})
    for view, key, frame, raw in (
        (USER_VIEW, "user_id", users, USER_RAW),
        (ITEM_VIEW, "item_id", pd.read_parquet(items), ITEM_RAW),
    ):
        numbers = {"age", "price"}
        kept = frame[[key, *raw]].astype({name: np.float64 for name in raw if name in numbers})
        kept["event_timestamp"] = datetime.now(tz=UTC)
        source = repo / f"{view}.parquet"
        kept.to_parquet(source)
        entity = Entity(name=key, join_keys=[key], value_type=ValueType.INT64)
        made = FeatureView(
            name=view,
            entities=[entity],
            ttl=timedelta(days=365),
            schema=[Field(name=name, dtype=Float64 if name in numbers else String) for name in raw],
            source=FileSource(path=str(source), timestamp_field="event_timestamp"),
        )
        store.apply([entity, made])
        store.write_to_online_store(view, kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
