"""The commands with the real Feast and a real Valkey."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from feast import FeatureStore
from recstack_feast.cli import main
from recstack_feast.repository import open_store
from stackfiles import PROJECT, StackFiles

from tests.serving.valkey_server import ValkeyServer

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


def online(store: FeatureStore, view: str, key: str, ids: list[int], columns: list[str]) -> dict[str, Any]:
    features = [f"{view}:{name}" for name in columns]
    found = store.get_online_features(features, [{key: value} for value in ids]).to_dict()
    return {name: found[name] for name in columns}


def test_the_newest_rows_are_online(stack: StackFiles, valkey: ValkeyServer) -> None:
    """Whole numbers beside nulls, texts, numbers; a row of a live update over that of the version."""
    stack.write(
        "user_features",
        "v1",
        NOW,
        person=[7, 8, 2**53 - 1],
        taste=["a", None, "c"],
        age=[40, None, 2**53 - 1],
    )
    stack.write("user_features", "live-1", NOW + timedelta(minutes=1), person=[8], taste=["b"], age=[None])
    stack.write("item_features", "v1", NOW, film=[1, 2], price=[1.5, None])
    (stack.offline / "user_features" / ".v2.parquet.0f").write_text("a file on its way")
    assert main(stack.command("apply", "materialize")) == 0
    result = json.loads(stack.log.read_text())
    assert result["step"] == "apply+materialize"
    assert result["computeSeconds"] > 0
    store = open_store(stack.repository, valkey.url)
    assert online(store, "user_features", "person", [7, 8, 2**53 - 1, 9], ["taste", "age"]) == {
        "taste": ["a", "b", "c", None],
        "age": [40, None, 2**53 - 1, None],
    }
    assert online(store, "item_features", "film", [1, 2], ["price"]) == {"price": [1.5, None]}


def test_increments_take_what_is_new(stack: StackFiles, valkey: ValkeyServer) -> None:
    stack.write("user_features", "v1", NOW, person=[7, 8], taste=["a", "b"], age=[1, 2])
    stack.write("item_features", "v1", NOW, film=[1], price=[1.5])
    assert main(stack.command("apply", "materialize")) == 0
    stack.write("user_features", "live-1", datetime.now(UTC), person=[7], taste=["z"], age=[1])
    assert main(stack.command("materialize-incremental")) == 0
    store = open_store(stack.repository, valkey.url)
    assert online(store, "user_features", "person", [7, 8], ["taste"]) == {"taste": ["z", "b"]}


def test_another_feature_set_over_older_files(stack: StackFiles, valkey: ValkeyServer) -> None:
    stack.write("user_features", "v1", NOW, person=[7, 8], taste=["a", "b"], age=[1, 2])
    stack.write("item_features", "v1", NOW, film=[1], price=[1.5])
    assert main(stack.command("apply", "materialize")) == 0
    later = NOW + timedelta(minutes=1)
    stack.write("user_features", "v2", later, person=[7], taste=["c"], land=["x"])
    stack.write("item_features", "v2", later, film=[1], price=[2.5])
    stack.render("v2", {"user_features": ["taste", "land"], "item_features": ["price"]})
    assert main(stack.command("apply", "materialize")) == 0
    store = open_store(stack.repository, valkey.url)
    assert [field.name for field in store.get_feature_view("user_features").features] == ["taste", "land"]
    assert online(store, "user_features", "person", [7, 8], ["taste", "land"]) == {
        "taste": ["c", "b"],
        "land": ["x", None],
    }


def test_rows_older_than_the_ttl_stay_offline(stack: StackFiles, valkey: ValkeyServer) -> None:
    stack.render("v1", {"user_features": ["taste"], "item_features": ["price"]}, ttl=3600)
    stack.write("user_features", "v1", NOW - timedelta(hours=2), person=[70], taste=["a"])
    stack.write("item_features", "v1", NOW, film=[1], price=[1.5])
    assert main(stack.command("apply", "materialize")) == 0
    store = open_store(stack.repository, valkey.url)
    assert online(store, "user_features", "person", [70], ["taste"]) == {"taste": [None]}


def test_delete_leaves_nothing_of_this_project(stack: StackFiles, valkey: ValkeyServer) -> None:
    stack.write("user_features", "v1", NOW, person=[7], taste=["a"], age=[1])
    stack.write("item_features", "v1", NOW, film=[1], price=[1.5])
    assert main(stack.command("apply", "materialize")) == 0
    with redis.Redis(port=valkey.port) as client:
        client.set("somebody", "else")
        assert [key for key in client.scan_iter() if PROJECT.encode() in key]
        assert main(stack.command("delete")) == 0
        assert [key for key in client.scan_iter() if PROJECT.encode() in key] == []
        assert client.get("somebody") == b"else"


def test_bad_input_ends_with_three(stack: StackFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(stack.command("apply")) == 3, "no snapshot"
    assert json.loads(stack.log.read_text())["error"]["reason"] == "SnapshotMissing"
    (stack.repository / "definitions.json").write_text("{}")
    assert main(stack.command("apply")) == 3
    assert json.loads(stack.log.read_text())["error"]["reason"] == "InvalidRepository"
    monkeypatch.delenv("VALKEY_URL")
    assert main(stack.command("apply")) == 3
    assert json.loads(stack.log.read_text())["error"]["reason"] == "MissingUrl"
