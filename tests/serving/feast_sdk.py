"""The real Feast in a process of its own, as its packages fit no others; ``FEAST_PYTHON`` says which Python.

This file is both ends: imported, it starts itself there and speaks with it, a line of JSON each way.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any


class FeastSdk:
    """A project of one or two views with their entities.

    ``views``: by name ``{"key": join key, "columns": {name: "Int64" | "Int32" | "Float64" | …}}``.
    """

    def __init__(
        self, folder: Path, project: str, port: int, ttl_seconds: int, views: dict[str, Any]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "feast.log").open("wb")
        self._process = subprocess.Popen(
            [_python(), "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | {"FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""},
        )
        setup = {"folder": str(folder), "project": project, "port": port, "ttl": ttl_seconds, "views": views}
        self._ask(setup)

    def write(self, view: str, rows: Sequence[dict[str, Any]], age_seconds: float = 0) -> None:
        """Rows with the id and values by column, as of so long ago, by ``write_to_online_store``."""
        self._ask({"write": view, "rows": list(rows), "age": age_seconds})

    def read(self, view: str, ids: Sequence[int]) -> dict[str, list[Any]]:
        """``get_online_features``: values by column, and ``ts``, seconds since 1970."""
        result: dict[str, list[Any]] = self._ask({"read": view, "ids": list(ids)})
        return result

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, Path(self._log.name).read_text()
        return json.loads(line)

    def __enter__(self) -> "FeastSdk":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            assert stream is not None
            stream.close()


def _python() -> str:
    if "FEAST_PYTHON" not in os.environ:
        raise RuntimeError("FEAST_PYTHON is not set to a Python that has Feast: run make serving")
    return os.environ["FEAST_PYTHON"]


def _serve() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints goes to the log
    import feast  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    from feast import types as kinds  # noqa: PLC0415

    setup = json.loads(sys.stdin.readline())
    folder = Path(setup["folder"])
    config = {
        "project": setup["project"],
        "provider": "local",
        "registry": str(folder / "registry.db"),
        "entity_key_serialization_version": 3,
        "online_store": {"type": "redis", "connection_string": f"127.0.0.1:{setup['port']}"},
    }
    (folder / "feature_store.yaml").write_text(json.dumps(config))
    store = feast.FeatureStore(repo_path=str(folder))
    objects: list[Any] = []
    for name, view in setup["views"].items():
        entity = feast.Entity(name=name, join_keys=[view["key"]], value_type=feast.ValueType.INT64)
        source = feast.FileSource(path=str(folder / f"{name}.parquet"), timestamp_field="event_timestamp")
        columns = {view["key"]: "Int64"} | view["columns"]
        schema = [feast.Field(name=n, dtype=getattr(kinds, kind)) for n, kind in columns.items()]
        frame = pd.DataFrame({n: pd.Series(dtype=_DTYPES[kind]) for n, kind in columns.items()})
        frame["event_timestamp"] = pd.Series(dtype="datetime64[us, UTC]")
        frame.to_parquet(folder / f"{name}.parquet")
        ttl = timedelta(seconds=setup["ttl"])
        objects += [
            entity,
            feast.FeatureView(name=name, entities=[entity], schema=schema, ttl=ttl, source=source),
        ]
    store.apply(objects)
    print("{}", file=out, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        if "write" in question:
            moment = datetime.now(UTC) - timedelta(seconds=question["age"])
            frame = pd.DataFrame(question["rows"], dtype=object)
            frame["event_timestamp"] = moment
            store.write_to_online_store(question["write"], df=frame)
            answer: Any = {}
        else:
            view = setup["views"][question["read"]]
            found = store.get_online_features(
                [f"{question['read']}:{column}" for column in view["columns"]],
                [{view["key"]: one} for one in question["ids"]],
            ).to_dict(include_event_timestamps=True)
            answer = {column: found[column] for column in view["columns"]}
            answer["ts"] = found[f"{next(iter(view['columns']))}__ts"]
        print(json.dumps(answer), file=out, flush=True)


_DTYPES = {"Int64": "int64", "Int32": "int32", "Float64": "float64", "Float32": "float32", "String": "str"}

if __name__ == "__main__":
    _serve()
