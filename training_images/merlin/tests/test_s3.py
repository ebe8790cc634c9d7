"""S3 as source and as store, over HTTP with the real client."""

import json
from collections.abc import Iterator
from pathlib import Path

import films
import pytest
import s3_server
from botocore.exceptions import ClientError, EndpointConnectionError
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_training.artifacts import open_store
from recstack_training.cli import main
from recstack_training.context import Context
from recstack_training.errors import BadInput
from recstack_training.packages import Damaged, delete_some, publish, verify
from runs import command, context


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3_server.Server]:
    with s3_server.serve() as running:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def source(root: Path, endpoint: str, bucket: str = s3_server.BUCKET) -> Context:
    recipe = films.RECIPE.model_dump(mode="json", by_alias=True)
    recipe["data"]["source"] = {"s3": {"bucket": bucket, "prefix": "some/films", "endpoint": endpoint}}
    return context(Recipe.model_validate(recipe), root)


def test_a_source(server: s3_server.Server, tmp_path: Path) -> None:
    films.write(tmp_path / "films")
    for path in (tmp_path / "films").rglob("*.parquet"):
        server.objects[f"some/films/{path.relative_to(tmp_path / 'films')}"] = path.read_bytes()
    server.objects["some/films/other.bin"] = b"not asked for"
    ctx = source(tmp_path, server.url)
    assert main(command(ctx, "ingest")) == 0
    found = {str(p.relative_to(ctx.run / "source")) for p in (ctx.run / "source").rglob("*") if p.is_file()}
    assert found == {"films.parquet", "people.parquet", *(f"seen/{day}.parquet" for day in range(films.DAYS))}


def test_a_source_without_the_files(server: s3_server.Server, tmp_path: Path) -> None:
    ctx = source(tmp_path, server.url)
    assert main(command(ctx, "ingest")) == 3
    assert json.loads((tmp_path / "work" / "termination").read_text())["error"]["reason"] == "MissingFile"


def test_a_missing_bucket_is_bad_input(server: s3_server.Server, tmp_path: Path) -> None:
    assert main(command(source(tmp_path, server.url, "elsewhere"), "ingest")) == 3
    error = json.loads((tmp_path / "work" / "termination").read_text())["error"]
    assert error["reason"] == "S3Refused"
    assert "elsewhere does not exist" in error["message"]


def test_refused_credentials_are_bad_input(
    server: s3_server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    assert main(command(source(tmp_path, server.url), "ingest")) == 3
    assert "refuses" in (tmp_path / "work" / "termination").read_text()


def test_a_server_that_is_away_is_tried_again(server: s3_server.Server, tmp_path: Path) -> None:
    """Any other exit status than 3 is one for the Job to retry."""
    with pytest.raises(EndpointConnectionError):
        main(command(source(tmp_path, "http://127.0.0.1:9"), "ingest"))
    server.broken = True
    with pytest.raises(ClientError):
        main(command(source(tmp_path, server.url), "ingest"))


def test_a_store(server: s3_server.Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_text("content")
    store = open_store(f"s3://{s3_server.BUCKET}/some/where/")
    manifest = {"schemaVersion": 1, "stack": "shop/films"}
    digest = publish(store, {"deep/part": tmp_path / "part"}, manifest, tmp_path)
    folder = f"some/where/packages/{digest.removeprefix('sha256:')}"
    assert list(server.objects) == [f"{folder}/{name}" for name in (".stack", "deep/part", "manifest.json")]
    assert verify(store, digest)["schemaVersion"] == 1
    server.objects[f"{folder}/deep/part"] = b"other"
    with pytest.raises(Damaged):
        verify(store, digest)
    with pytest.raises(FileNotFoundError):
        verify(store, "sha256:0")


def test_packages_of_old_versions_go_and_files_are_listed(server: s3_server.Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_text("content")
    store = open_store(f"s3://{s3_server.BUCKET}/some")
    old, new = (
        publish(store, {"deep/part": tmp_path / "part"}, {"stack": "shop/films", "n": n}, tmp_path)
        for n in range(2)
    )
    other = publish(store, {"part": tmp_path / "part"}, {"stack": "shop/books"}, tmp_path)
    gone = old.removeprefix("sha256:")
    assert store.files(f"packages/{gone}") == ["manifest.json"]
    assert store.files("nowhere") == []
    assert delete_some(store, "shop/films", [old, other, "sha256:0"]) == [gone]
    assert sorted(store.folders("packages")) == sorted(one.removeprefix("sha256:") for one in (new, other))
    assert verify(store, new)["n"] == 1


def test_a_store_without_its_bucket(server: s3_server.Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_text("content")
    store = open_store("s3://elsewhere")
    with pytest.raises(BadInput, match="does not exist"):
        publish(store, {"part": tmp_path / "part"}, {"stack": "shop/films"}, tmp_path)


def test_an_address_of_neither_kind() -> None:
    with pytest.raises(BadInput, match="expected file"):
        open_store("ftp://somewhere/x")
