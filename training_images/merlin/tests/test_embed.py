"""Encoders with their real loading code; what is missing is counted; both models learn from the tables."""

import json
from pathlib import Path
from typing import Any

import illustrated
import numpy as np
import pytest
from PIL import Image
from recstack_training import export, media, pca, pretrained
from recstack_training.bundle import PARTS, files
from recstack_training.cli import main
from recstack_training.context import Context
from recstack_training.encoders.image import ImageEncoder
from recstack_training.encoders.text import TextEncoder
from recstack_training.parents import TWO_TOWER
from recstack_training.served import Bundle
from recstack_training.steps.train_retrieval import PROJECTION
from runs import command, context


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> Context:
    root = tmp_path_factory.mktemp("illustrated")
    illustrated.write(root / "data" / "films")
    ctx = context(illustrated.recipe(), root, data=root / "data", weights=checkpoints)
    assert main(command(ctx, "all")) == 0
    return ctx


def test_minilm_is_what_its_authors_published(checkpoints: Path) -> None:
    """Similarities of the example in the documentation of sentence-transformers."""
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    vectors = TextEncoder(checkpoints / "checkpoints" / "minilm")(sentences)
    assert vectors.shape == (3, 384)
    wanted = [[1.0000, 0.6660, 0.1046], [0.6660, 1.0000, 0.1411], [0.1046, 0.1411, 1.0000]]
    assert np.allclose(vectors @ vectors.T, wanted, atol=1e-4)


def test_a_text_is_encoded_alike_alone_and_among_others(checkpoints: Path) -> None:
    encoder = TextEncoder(checkpoints / "checkpoints" / "minilm")
    texts = [f"{'very ' * (n % 7)}long story number {n}" for n in range(70)] + ["word " * 3000]
    together = encoder(texts)
    for place in (0, 6, 69, 70):
        assert np.allclose(encoder([texts[place]])[0], together[place], atol=1e-5)


def test_clip_reads_any_kind_of_picture_and_says_which_it_could_not(
    checkpoints: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 60, 3)).astype(np.uint8)
    picture = Image.fromarray(noise)
    for name, mode in (
        ("a.png", "RGB"),
        ("b.png", "RGBA"),
        ("c.png", "P"),
        ("d.jpg", "L"),
        ("e.webp", "RGB"),
    ):
        picture.convert(mode).save(tmp_path / name)
    whole = (tmp_path / "d.jpg").read_bytes()
    (tmp_path / "f.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "g.jpg").write_text("<html>404</html>")
    paths = sorted(tmp_path.iterdir())
    vectors, read = ImageEncoder(checkpoints / "checkpoints" / "clip")(paths)
    assert read.tolist() == [True] * 5 + [False] * 2
    assert vectors.shape == (7, 24)
    assert np.allclose(np.linalg.norm(vectors, axis=1), read, atol=1e-5)
    assert np.allclose(vectors[0], vectors[1], atol=1e-5), "an opaque picture is the same without its alpha"
    assert not np.allclose(vectors[0], vectors[3], atol=1e-3)


def test_pca_keeps_distances_and_puts_the_unknown_in_the_middle() -> None:
    rng = np.random.default_rng(1)
    vectors = (rng.normal(size=(200, 5)) @ rng.normal(size=(5, 30)) + 3).astype(np.float32)
    known = np.arange(200) % 10 != 0
    made = pca.reduce(vectors, known, 5)
    assert made.explained == pytest.approx(1)
    assert not made.table[~known].any()
    assert np.allclose(made.table[known].mean(axis=0), 0, atol=1e-4)
    some = np.flatnonzero(known)[:20]
    for table in (vectors, made.table):
        distances = np.linalg.norm(table[some, None] - table[None, some], axis=2)
        assert np.allclose(
            distances, np.linalg.norm(vectors[some, None] - vectors[None, some], axis=2), atol=1e-3
        )
    assert pca.reduce(vectors, known, 2).explained < made.explained


def test_fewer_items_than_dimensions_fill_up_with_zeros() -> None:
    vectors = np.random.default_rng(2).normal(size=(4, 30)).astype(np.float32)
    made = pca.reduce(vectors, np.ones(4, np.bool_), 8)
    assert made.table.shape == (4, 8)
    assert made.explained == pytest.approx(1)
    assert (np.abs(made.table).max(axis=0) > 1e-3).tolist() == [True] * 3 + [False] * 5


def test_what_was_missing_is_counted(shown: Context) -> None:
    metrics = json.loads((shown.folder("embed") / "done.json").read_text())["metrics"]
    assert metrics["embeddings.plot.missing"] == len(illustrated.PLOTLESS)
    assert metrics["embeddings.plot.unreadable"] == 0
    assert metrics["embeddings.poster.missing"] == len(illustrated.POSTERLESS) + 1
    assert metrics["embeddings.poster.unreadable"] == 1
    assert 0.5 < metrics["embeddings.plot.explainedVariance"] <= 1


def test_tables_have_a_row_an_item_and_films_of_a_genre_lie_together(shown: Context) -> None:
    parts = files(shown, shown.before("package"))
    genre = np.load(parts["items.npz"])["genre"]
    for name, dim, missing in (
        ("plot", illustrated.TEXT_DIM, illustrated.PLOTLESS),
        ("poster", illustrated.PICTURE_DIM, (*illustrated.POSTERLESS, illustrated.DAMAGED)),
    ):
        table = np.load(parts[pretrained.part(name)])
        assert table.shape == (len(genre), dim)
        assert table.dtype == np.float32
        assert np.flatnonzero(~table.any(axis=1)).tolist() == sorted(missing)
        there = np.setdiff1d(np.arange(len(genre)), [*missing, 7])  # 7 has no genre
        far = np.linalg.norm(table[there, None] - table[None, there], axis=2) + np.eye(len(there)) * 99
        assert (genre[there][far.argmin(axis=1)] == genre[there]).mean() > 0.9


def test_both_models_depend_on_them(shown: Context) -> None:
    """The ranker through its inputs; the item tower through the index, which was built with them."""
    parts = files(shown, shown.before("package"))
    bundle = Bundle(parts, shown.recipe, threads=1)
    rows = np.arange(20)[None]
    before = bundle.score(bundle.user(np.array([7])), {}, rows)
    bundle._embeddings = {name: -table for name, table in bundle._embeddings.items()}
    assert np.abs(bundle.score(bundle.user(np.array([7])), {}, rows) - before).max() > 1e-4
    inputs = {one.name: one.shape for one in export.session(parts["ranker.onnx"]).get_inputs()}
    assert inputs["plot"][1] == illustrated.TEXT_DIM
    assert inputs["poster"][1] == illustrated.PICTURE_DIM
    assert inputs["film"][1] == 1
    with np.load(parts[TWO_TOWER]) as stored:
        shapes = [stored[name].shape for name in stored if name.startswith("weight.")]
    inputs_of = {shape[0] for shape in shapes if len(shape) == 2 and shape[1] == 128}
    sizes = json.loads((shown.folder("features") / "sizes.json").read_text())
    coded = [one.name for one in shown.recipe.features.item if sizes[one.name]]
    learned = len(coded) * shown.recipe.models.retrieval.embedding_dim
    numbers = PROJECTION if len(coded) < len(shown.recipe.features.item) else 0
    assert learned + numbers + illustrated.TEXT_DIM + illustrated.PICTURE_DIM in inputs_of


def test_the_package_names_them_and_what_made_them(shown: Context) -> None:
    (folder,) = (Path(shown.artifacts.removeprefix("file://")) / "packages").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["embeddings"] == [
        {"name": "plot", "dim": illustrated.TEXT_DIM},
        {"name": "poster", "dim": illustrated.PICTURE_DIM},
    ]
    assert set(manifest["parts"]) > {"embeddings/plot.npy", "embeddings/poster.npy"}
    encoders = {one["embedding"]: one for one in manifest["lineage"]["encoders"]}
    assert encoders["plot"]["model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert encoders["plot"]["sha256"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    data = {one["file"]: one["rows"] for one in manifest["lineage"]["data"]}
    assert data["plots.parquet"] == data["films.parquet"] - 1
    assert data["posters/{id}.png"] == data["films.parquet"] - len(illustrated.POSTERLESS)


def _refused(ctx: Context, step: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(command(ctx, step)) == 3
    error: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    return error


@pytest.mark.parametrize(
    ("embedding", "reason", "words"),
    [
        ({"from": {"text": {"column": "plot"}}}, "MissingColumn", "films.parquet has no column plot"),
        (
            {"from": {"text": {"path": "no.parquet", "id": "film", "column": "plot"}}},
            "MissingFile",
            "no.parquet",
        ),
        ({"from": {"text": {"column": "year"}}}, "WrongType", "expected string"),
        (
            {"from": {"image": {"path": "images/{id}.png"}}},
            "MissingFile",
            "No item has a picture at images/{id}",
        ),
        ({"from": {"image": {"path": "{id}/../../a"}}}, "InvalidRecipe", "must lie in the data source"),
        ({"from": {"text": {"column": "genre"}}, "name": "genre"}, "DuplicateFeature", "named genre"),
    ],
)
def test_ingest_refuses_what_cannot_be_encoded(
    embedding: dict[str, Any], reason: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    illustrated.write(tmp_path / "data" / "films")
    base = illustrated.recipe().features.model_dump(by_alias=True, mode="json", exclude_none=True)
    base["embeddings"] = [{"name": "extra", **embedding}]
    ctx = context(illustrated.recipe(features=base), tmp_path, data=tmp_path / "data")
    error = _refused(ctx, "ingest", capsys)
    assert error["reason"] == reason
    assert words in error["message"]


def _again(shown: Context, tmp_path: Path, **encoder: Any) -> Context:
    """The films' run up to its features, with one embedding that is otherwise encoded."""
    base = shown.recipe.features.model_dump(by_alias=True, mode="json", exclude_none=True)
    base["embeddings"] = [base["embeddings"][0] | encoder]
    ctx = context(illustrated.recipe(features=base), tmp_path, weights=shown.weights)
    ctx.run.mkdir(parents=True)
    for step in ("ingest", "features"):
        ctx.folder(step).symlink_to(shown.folder(step))
    return ctx


def test_weights_that_are_not_there_or_not_those(
    shown: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def volume(path: str) -> dict[str, Any]:
        return {"weights": {"volume": {"claimName": "checkpoints", "path": path}}}

    posters = {"from": {"image": {"path": "posters/{id}.png"}}}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"encoder": volume("nothing")}, "MissingWeights"),
        ({"encoder": volume("clip"), **posters, "dim": 30}, "InvalidDim"),
        ({"encoder": volume("minilm"), **posters}, "InvalidWeights"),
    ]
    for number, (changed, reason) in enumerate(cases):
        error = _refused(_again(shown, tmp_path / str(number), **changed), "embed", capsys)
        assert error["reason"] == reason


def test_more_than_half_missing_is_a_wrong_column(
    shown: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = media.texts

    def half(*args: Any) -> list[str | None]:
        return [None if n % 3 else text for n, text in enumerate(known(*args))]

    monkeypatch.setattr(media, "texts", half)
    error = _refused(_again(shown, tmp_path), "embed", capsys)
    assert error["reason"] == "MissingMedia"
    assert "18 of 60 items" in error["message"]
    assert error["column"] == "plot"


def test_parts_are_listed_only_when_made(shown: Context) -> None:
    assert shown.before("train-retrieval") == ("features", "embed")
    assert (shown.folder("embed") / PARTS).is_dir()
