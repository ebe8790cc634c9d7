"""Offline files and the repository of a stack as the operator renders it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

TIME = pa.timestamp("us", tz="UTC")
PROJECT = "recstack_big__shop_retail"
"""Of stack retail in big-shop."""


class StackFiles:
    """One stack in ``root``; nothing of it is retail's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository = root / "repository"
        self.repository.mkdir()
        self.offline = root / "offline"
        self.log = root / "termination"
        self.render("v1", {"user_features": ["taste", "age"], "item_features": ["price"]})

    def render(self, snapshot: str, columns: Mapping[str, Sequence[str]], ttl: int = 7776000) -> None:
        store = {
            "project": PROJECT,
            "provider": "local",
            "registry": {
                "registry_type": "file",
                "path": str(self.root / "registry.db"),
                "cache_ttl_seconds": 0,
            },
            "online_store": {"type": "redis", "connection_string": "${RECSTACK_FEAST_CONNECTION}"},
            "offline_store": {"type": "recstack_feast.offline.ParquetOfflineStore"},
            "entity_key_serialization_version": 3,
        }
        (self.repository / "feature_store.yaml").write_text(yaml.safe_dump(store))
        views = [
            {"name": name, "entity": entity, "key": key, "columns": list(columns[name]), "ttlSeconds": ttl}
            for name, entity, key in (("user_features", "user", "person"), ("item_features", "item", "film"))
        ]
        definitions = {"offline": f"file://{self.offline}", "snapshot": snapshot, "views": views}
        (self.repository / "definitions.json").write_text(json.dumps(definitions))

    def write(self, view: str, name: str, moment: datetime, **columns: Any) -> None:
        folder = self.offline / view
        folder.mkdir(parents=True, exist_ok=True)
        table = pa.table({key: pa.array(values) for key, values in columns.items()})
        for key in ("event_timestamp", "created"):
            table = table.append_column(key, pa.array([moment] * len(table), TIME))
        pq.write_table(table, folder / f"{name}.parquet")

    def command(self, *commands: str) -> list[str]:
        return [*commands, "--repository", str(self.repository), "--termination-log", str(self.log)]

    def to_s3(self, offline: str, endpoint: str) -> None:
        """The same repository, its files and registry below ``offline``."""
        path = self.repository / "feature_store.yaml"
        store = yaml.safe_load(path.read_text())
        store["registry"]["path"] = f"{offline}/registry.db"
        path.write_text(yaml.safe_dump(store))
        path = self.repository / "definitions.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"offline": offline, "endpoint": endpoint}))
