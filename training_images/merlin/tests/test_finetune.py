"""A fine-tune: on from a package, on a newer day, with the item tower and the index as they were."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import films
import illustrated
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recstack_crds.v1alpha1.modelversion import Days, Recipe
from recstack_training import checkpoint, drift, logged, pretrained, reuse
from recstack_training.artifacts import open_store
from recstack_training.bundle import PARTS
from recstack_training.cli import main
from recstack_training.context import Context
from recstack_training.dataset import arrays, load, seen
from recstack_training.errors import BAD_INPUT_EXIT_CODE, BadInput
from recstack_training.packages import publish
from recstack_training.parents import DLRM, TWO_TOWER
from recstack_training.steps.train_retrieval import Frozen
from runs import command, context

KEPT = ("index.faiss", "item_embeddings.npy", "items.npz", "titles.json", "transforms.json", "vocab.npz")
MOVED = ("query_tower.onnx", "ranker.onnx", TWO_TOWER, DLRM)


def package_of(ctx: Context) -> str:
    digest: str = json.loads((ctx.folder("package") / "done.json").read_text())["package"]
    return digest


def manifest_of(ctx: Context) -> dict[str, Any]:
    folder = (
        Path(ctx.artifacts.removeprefix("file://")) / "packages" / package_of(ctx).removeprefix("sha256:")
    )
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def child(parent: Context, root: Path, recipe: Recipe | None = None, days: Days | None = None) -> Context:
    """A fine-tune of ``parent`` on a work volume of its own: the parent's is gone."""
    ctx = context(recipe or parent.recipe, root, "v2", parent.data)
    return replace(ctx, artifacts=parent.artifacts, parent=package_of(parent), days=days)


def told(ctx: Context, step: str) -> tuple[int, dict[str, Any]]:
    status = main(command(ctx, step))
    return status, json.loads((ctx.work / "termination").read_text())


@pytest.fixture(scope="session")
def tuned(retail: Context, tmp_path_factory: pytest.TempPathFactory) -> Context:
    ctx = child(retail, tmp_path_factory.mktemp("tuned"))
    assert main(command(ctx, "all")) == 0
    return ctx


def test_the_index_is_the_parents_to_the_byte_and_the_rest_has_moved(retail: Context, tuned: Context) -> None:
    before, after = manifest_of(retail)["parts"], manifest_of(tuned)["parts"]
    for name in KEPT:
        assert after[name] == before[name], name
    for name in MOVED:
        assert after[name] != before[name], name
    assert {name: part.get("role") for name, part in after.items() if "training" in name} == {
        TWO_TOWER: "training", DLRM: "training", drift.PART: "training",
    }  # fmt: skip


def test_only_the_query_tower_moved(retail: Context, tuned: Context) -> None:
    """Of the two towers' weights those of the item's are the same to the bit, some of the user's are not."""
    paths = (ctx.folder("train-retrieval") / PARTS / TWO_TOWER for ctx in (retail, tuned))
    before, after = (arrays(path) for path in paths)
    same = [np.array_equal(before[name], after[name]) for name in before if name[:7] == "weight."]
    assert any(same)
    assert not all(same)
    paths = (ctx.folder("train-ranking") / PARTS / DLRM for ctx in (retail, tuned))
    before, after = (arrays(path) for path in paths)
    still = [name for name in before if name[:7] == "weight." and np.array_equal(before[name], after[name])]
    assert still == []


def test_its_lineage_tells_parent_days_and_tower(retail: Context, tuned: Context) -> None:
    lineage = manifest_of(tuned)["lineage"]
    assert lineage["parent"] == package_of(retail)
    assert (lineage["kind"], lineage["itemTower"]) == ("FineTune", "frozen")
    days = lineage["days"]
    assert (days["first"], days["last"], days["heldOut"]) == (
        "day_00.parquet",
        "day_05.parquet",
        "day_05.parquet",
    )
    assert "day_04.parquet" in days["replay"], "the parent's held-out day"
    assert len(days["replay"]) == 3
    assert manifest_of(retail)["lineage"]["days"] == {
        "first": "day_00.parquet", "last": "day_04.parquet", "heldOut": "day_04.parquet",
    }  # fmt: skip
    assert json.loads((tuned.folder("ingest") / "done.json").read_text())["window"] == {
        "first": "day_00.parquet", "last": "day_05.parquet",
    }  # fmt: skip


def test_it_trains_on_the_earlier_part_and_is_measured_on_the_later(tuned: Context) -> None:
    train, held_out, history = load(tuned, "train"), load(tuned, "heldout"), seen(tuned)
    day = pd.read_parquet(next((tuned.work / "data").glob("*/day_05.parquet")))
    share = 1 - len(held_out.user) / len(day)
    assert share == pytest.approx(0.7, abs=0.01)
    assert held_out.time.min() > train.time.max()
    assert len(history.user) > len(train.user)


def test_the_tuned_model_is_better_on_the_new_day_than_chance(tuned: Context) -> None:
    metrics = manifest_of(tuned)["metrics"]
    assert metrics["auc"] > 0.6
    assert metrics["recall@10/popularity"] > 1


def test_a_fine_tune_of_a_fine_tune_needs_another_day(tuned: Context, tmp_path: Path) -> None:
    ctx = child(tuned, tmp_path)
    assert told(ctx, "parent")[0] == 0
    status, result = told(ctx, "ingest")
    assert status == BAD_INPUT_EXIT_CODE
    assert result["error"]["reason"] == "NoNewData"
    assert "day_05.parquet" in result["error"]["message"]


def test_days_that_are_asked_for_must_be_new(retail: Context, tmp_path: Path) -> None:
    ctx = child(retail, tmp_path, days=Days(first="day_03.parquet", last="day_04.parquet"))
    assert told(ctx, "parent")[0] == 0
    assert told(ctx, "ingest")[1]["error"]["reason"] == "NoNewData"
    ctx = replace(ctx, days=Days(first="day_03.parquet", last="day_09.parquet"))
    assert told(ctx, "ingest")[1]["error"]["reason"] == "MissingFile"


def changed(of: Recipe, change: Callable[[dict[str, Any]], None]) -> Recipe:
    value = of.model_dump(mode="json", by_alias=True, exclude_none=True)
    change(value)
    return Recipe.model_validate(value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda r: r["features"]["user"].pop(), "features.user"),
        (lambda r: r["models"]["retrieval"].update(towers=[64, 32]), "models.retrieval"),
        (lambda r: r["data"]["tables"]["users"].update(path="people.parquet"), "tables.users"),
    ],
)
def test_a_parent_of_another_recipe_is_refused(
    change: Callable[[dict[str, Any]], None], word: str, retail: Context, tmp_path: Path
) -> None:
    status, result = told(child(retail, tmp_path, changed(retail.recipe, change)), "parent")
    assert status == BAD_INPUT_EXIT_CODE
    assert result["error"]["reason"] == "ParentOfAnotherRecipe"
    assert word in result["error"]["message"]
    assert "kind Full" in result["error"]["message"]


def test_how_it_is_fitted_may_change(retail: Context, tmp_path: Path) -> None:
    def slower(value: dict[str, Any]) -> None:
        value["models"]["ranking"].update(learningRate=0.1, epochs=9)
        value["training"] = {"fineTune": {"learningRate": 0.01}}

    assert told(child(retail, tmp_path, changed(retail.recipe, slower)), "parent")[0] == 0


def test_a_package_that_is_not_there_or_has_no_checkpoint(retail: Context, tmp_path: Path) -> None:
    ctx = replace(child(retail, tmp_path), parent="sha256:" + "0" * 64)
    assert told(ctx, "parent")[1]["error"]["reason"] == "ParentMissing"
    part = tmp_path / "recipe.json"
    part.write_text(retail.recipe.model_dump_json(by_alias=True))
    about = {"stack": "shop/retail", "lineage": {"parent": None}}
    digest = publish(open_store(retail.artifacts), {"recipe.json": part}, about, tmp_path)
    assert told(replace(ctx, parent=digest), "parent")[1]["error"]["reason"] == "ParentWithoutCheckpoint"


def plain(loader: Any) -> Any:
    """Of a stack without embeddings."""
    return loader


def test_a_loss_that_is_not_the_one_before_stops_it(retail: Context, tuned: Context, tmp_path: Path) -> None:
    """The trap: compiled with Keras' own loss, which takes logits for probabilities."""
    from recstack_training import schema
    from recstack_training.dataset import sizes
    from recstack_training.merlin_tf import load as merlin
    from recstack_training.steps import train_retrieval

    tf, mm = merlin()
    columns = schema.build(retail.recipe, sizes(retail), target=False)
    path = retail.folder("train-retrieval") / PARTS / TWO_TOWER
    model = train_retrieval.model_of(mm, columns, retail.recipe.models.retrieval)
    train_retrieval.compiled(model, tf, 0.001)
    checkpoint.restore(path, model, mm, columns, plain)
    # A fine-tune's checkpoint has the same order of weights, so that another can go on from it.
    checkpoint.restore(tuned.folder("train-retrieval") / PARTS / TWO_TOWER, model, mm, columns, plain)
    wrong = train_retrieval.model_of(mm, columns, retail.recipe.models.retrieval)
    wrong.compile(
        optimizer="adam", loss=tf.keras.losses.CategoricalCrossentropy(), run_eagerly=False, metrics=[]
    )
    with pytest.raises(RuntimeError, match="the loss was"):
        checkpoint.restore(path, wrong, mm, columns, plain)
    stored = arrays(path)
    stored["weight.0000"] = stored["weight.0000"] + np.float32(0.5)
    np.savez(tmp_path / "moved.npz", **stored)
    with pytest.raises(RuntimeError, match="the loss was"):
        checkpoint.restore(tmp_path / "moved.npz", model, mm, columns, plain)


def test_a_tower_that_moved_by_one_bit_is_found() -> None:
    class Weight:
        def __init__(self, value: float) -> None:
            self.value = value

        def numpy(self) -> Any:
            return np.full(3, self.value, np.float32)

    class Tower:
        weights: ClassVar = [Weight(0.25)]

    vectors = np.eye(3, dtype=np.float32)
    frozen = Frozen.of(Tower, vectors)
    frozen.check(Tower, vectors.copy())
    moved = vectors.copy()
    moved[0, 0] = np.nextafter(np.float32(1), np.float32(2))
    with pytest.raises(RuntimeError, match="moved"):
        frozen.check(Tower, moved)
    Tower.weights = [Weight(float(np.nextafter(np.float32(0.25), np.float32(1))))]
    with pytest.raises(RuntimeError, match="moved"):
        frozen.check(Tower, vectors)
    with pytest.raises(RuntimeError, match="not that of the package"):
        frozen.check_origin(vectors + np.float32(0.1))


def test_the_cut_leaves_something_on_both_sides() -> None:
    time = np.array([5, 1, 2, 9, 4])
    assert reuse.cut(time, 0.7) == 5
    assert reuse.cut(time, 0.01) == 2
    assert reuse.cut(time, 0.99) == 9
    assert reuse.cut(np.array([3, 3, 3, 4]), 0.5) == 4
    with pytest.raises(BadInput, match="one time"):
        reuse.cut(np.array([3, 3]), 0.5)


def test_codes_are_the_parents_for_films_too(film: Context, tmp_path: Path) -> None:
    """A new day with a person and a film that the parent never saw; columns of another world, with nulls."""
    data = tmp_path / "data" / "films"
    films.write(data)
    new = pd.read_parquet(data / "seen" / "0.parquet")
    new["at"] += films.DAYS * 86_400
    new.loc[:9, "who"] = 99_999
    new.loc[10:19, "movie"] = 99_999
    new.to_parquet(data / "seen" / f"{films.DAYS}.parquet")
    people = pd.read_parquet(data / "people.parquet")
    pd.concat([people, pd.DataFrame({"person": [99_999]})]).to_parquet(data / "people.parquet")
    catalog = pd.read_parquet(data / "films.parquet")
    more = pd.DataFrame({"film": [99_999], "genre": ["noir"], "year": [1944.0]})
    pd.concat([catalog, more]).to_parquet(data / "films.parquet")
    ctx = replace(child(film, tmp_path), data=tmp_path / "data")
    for step in ("parent", "ingest", "features"):
        assert told(ctx, step)[0] == 0
    for name in ("vocab.npz", "items.npz", "transforms.json"):
        paths = [one.folder("features") / PARTS / name for one in (film, ctx)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    users = arrays(ctx.folder("features") / "encoded_users.npz")
    assert users["viewer"][users["__id__"] == 99_999].tolist() == [2], "out of vocabulary"
    assert users["taste"][users["__id__"] == 99_999].item() > 2, "its taste is known from the new day"
    before = arrays(film.folder("features") / "encoded_users.npz")
    assert users["viewer"][:-1].tolist() == before["viewer"].tolist()
    done = json.loads((ctx.folder("features") / "done.json").read_text())["metrics"]
    assert done["droppedRows"] == 10
    assert done["replayDays"] == 3


def test_vectors_of_texts_and_pictures_are_the_parents(checkpoints: Path, tmp_path: Path) -> None:
    """They are neither encoded nor reduced again: no weights are mounted, and the new data's plots differ."""
    data = tmp_path / "data" / "films"
    illustrated.write(data)
    parent = context(illustrated.recipe(), tmp_path / "v1", data=data.parent, weights=checkpoints)
    assert main(command(parent, "all")) == 0
    new = pd.read_parquet(data / "seen" / "0.parquet")
    new["at"] += films.DAYS * 86_400
    new.to_parquet(data / "seen" / f"{films.DAYS}.parquet")
    plots = pd.read_parquet(data / "plots.parquet")
    plots.assign(plot=plots["plot"].to_numpy()[::-1]).to_parquet(data / "plots.parquet")
    ctx = child(parent, tmp_path / "v2")
    assert main(command(ctx, "all")) == 0
    before, after = manifest_of(parent), manifest_of(ctx)
    tables = [pretrained.part(one.name) for one in ctx.recipe.features.embeddings]
    assert len(tables) == 2
    for name in (*KEPT, *tables):
        assert after["parts"][name] == before["parts"][name], name
    for name in MOVED:
        assert after["parts"][name] != before["parts"][name], name
    assert after["lineage"]["itemTower"] == "frozen"
    assert after["lineage"]["encoders"] == before["lineage"]["encoders"]
    metrics = json.loads((ctx.folder("embed") / "done.json").read_text())["metrics"]
    assert metrics == {"embeddings.taken": 2}


def test_what_was_served_is_trained_on_and_its_skew_told(film: Context, tmp_path: Path) -> None:
    """One person's taste was logged in the middle of the new day; before that moment the table's holds."""
    data = tmp_path / "data" / "films"
    films.write(data)
    new = pd.read_parquet(data / "seen" / "0.parquet").sort_values("at", ignore_index=True)
    new["at"] += films.DAYS * 86_400
    new.to_parquet(data / "seen" / f"{films.DAYS}.parquet")
    person = int(new["who"].mode()[0])
    train = new.iloc[: int(len(new) * 0.7)]
    moment = int(train[train["who"] == person]["at"].iloc[1])
    artifacts = tmp_path / "artifacts"
    shutil.copytree(film.artifacts.removeprefix("file://"), artifacts)
    folder = artifacts / "offline" / film.stack / "user_features"
    folder.mkdir(parents=True, exist_ok=True)
    known = arrays(film.folder("features") / "encoded_users.npz")
    row = int(np.flatnonzero(known["__id__"] == person)[0])
    words = arrays(film.folder("features") / PARTS / "vocab.npz")
    codes = dict(zip(words["taste.codes"].tolist(), words["taste.vocab"].tolist(), strict=True))
    other = next(code for code in codes if code != known["taste"][row])
    at = pd.to_datetime([moment], unit="s", utc=True).astype("datetime64[ns, UTC]")
    served = pd.DataFrame({"person": [person], "taste": [codes[other]], "event_timestamp": at, "created": at})
    served.to_parquet(folder / "live-1.parquet")
    served.assign(taste="nothing").to_parquet(folder / "v1.parquet")  # a version's own file is none of them
    ctx = replace(child(film, tmp_path), data=tmp_path / "data", artifacts=f"file://{artifacts}")
    for step in ("parent", "ingest", "features"):
        status, result = told(ctx, step)
        assert status == 0
    log = load(ctx, "train")
    mine = log.user == row
    late = mine & (log.time >= moment)
    assert late.any()
    assert (mine & ~late).any()
    assert (log.served["taste"][late] == other).all()
    assert (log.served["taste"][~late] == log.users["taste"][log.user[~late]]).all()
    (skew,) = result["skew"]
    assert (skew["feature"], skew["logged"]) == ("taste", int(late.sum()))
    assert skew["differs"] == (1.0 if log.users["taste"][row] != other else 0.0)
    assert skew["psi"] > 0


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20))),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20))),
)
def test_the_last_value_at_or_before_an_event(
    rows: list[tuple[int, int]], events: list[tuple[int, int]]
) -> None:
    rows = sorted(rows, key=lambda one: one[1])
    row_user, row_time = (np.array([one[side] for one in rows], np.int64) for side in (0, 1))
    user, time = (np.array([one[side] for one in events], np.int64) for side in (0, 1))
    got = logged.last_before(row_user, row_time, user, time).tolist()
    expected = [
        max((n for n, (who, when) in enumerate(rows) if who == one and when <= moment), default=-1)
        for one, moment in events
    ]
    assert got == expected
