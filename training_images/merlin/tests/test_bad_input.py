"""Wrong data or a wrong recipe: exit status 3 and a termination message that says where and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import films
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_training.cli import main
from runs import command, context

Spoil = Callable[[Path], None]


def frame(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Spoil:
    """Replace a table by what ``change`` makes of it."""

    def spoil(folder: Path) -> None:
        change(pd.read_parquet(folder / name)).to_parquet(folder / name)

    return spoil


def remove(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def garbage(folder: Path) -> None:
    (folder / "films.parquet").write_bytes(b"not parquet")


def _nan(folder: Path) -> None:
    """NaN that is not null; pandas writes it as null."""
    table = pq.read_table(folder / "films.parquet")
    year = pa.array(np.where(np.arange(len(table)) == 1, np.nan, 2000.0))
    pq.write_table(
        table.set_column(table.schema.get_field_index("year"), "year", year), folder / "films.parquet"
    )


CASES: dict[str, tuple[Spoil, str, str | None, str | None]] = {
    "no users": (remove("people.parquet"), "MissingFile", "people.parquet", None),
    "no items": (remove("films.parquet"), "MissingFile", "films.parquet", None),
    "too few days": (remove("seen/3.parquet"), "TooFewDays", "seen/*.parquet", None),
    "no log": (
        lambda folder: shutil.rmtree(folder / "seen"),
        "MissingFile",
        "seen/*.parquet",
        None,
    ),
    "not parquet": (garbage, "NotParquet", "films.parquet", None),
    "no feature column": (
        frame("films.parquet", lambda t: t.drop(columns="year")), "MissingColumn", "films.parquet", "year",
    ),
    "no time": (frame("seen/1.parquet", lambda t: t.drop(columns="at")), "MissingColumn", "1.parquet", "at"),
    "no derived source": (
        frame("films.parquet", lambda t: t.drop(columns="genre")), "MissingColumn", "films.parquet", "genre",
    ),
    "text where a number is wanted": (
        frame("films.parquet", lambda t: t.assign(year="old")), "WrongType", "films.parquet", "year",
    ),
    "text ids": (
        frame("people.parquet", lambda t: t.assign(person=t.person.astype(str))),
        "WrongType", "people.parquet", "person",
    ),
    "time as text": (
        frame("seen/0.parquet", lambda t: t.assign(at="monday")), "WrongType", "0.parquet", "at",
    ),
    "time in milliseconds": (
        frame("seen/0.parquet", lambda t: t.assign(at=t["at"] * 1000 + 1_700_000_000_000)),
        "WrongUnit", "0.parquet", "at",
    ),
    "an empty day": (frame("seen/2.parquet", lambda t: t.iloc[:0]), "EmptyDay", "2.parquet", None),
    "no rows of users": (frame("people.parquet", lambda t: t.iloc[:0]), "EmptyTable", "people.parquet", None),
    "an id twice": (
        frame("people.parquet", lambda t: pd.concat([t, t.iloc[:1]])),
        "DuplicateId", "people.parquet", "person",
    ),
    "an item without id": (
        frame("films.parquet", lambda t: t.assign(film=t.film.astype("Int64").mask(t.film == 100))),
        "NullValue", "films.parquet", "film",
    ),
    "an event of nobody": (
        frame("seen/0.parquet", lambda t: t.assign(who=t.who.astype("Int64").mask(t.index == 3))),
        "NullValue", "0.parquet", "who",
    ),
    "a column without any value": (
        frame("films.parquet", lambda t: t.assign(year=np.nan)), "NoValues", "films.parquet", "year",
    ),
    "a NaN": (_nan, "NotFinite", "films.parquet", "year"),
}  # fmt: skip


def failure(path: Path) -> dict[str, Any]:
    message = (path / "work" / "termination").read_text()
    assert len(message.encode()) <= 4096
    error: dict[str, Any] = json.loads(message)["error"]
    return error


def test_a_logarithm_of_what_has_none(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "films"
    films.write(folder)
    frame("films.parquet", lambda t: t.assign(year=-t.year))(folder)
    recipe = films.RECIPE.model_dump(mode="json", by_alias=True)
    recipe["features"]["item"].append({"name": "x", "column": "year", "ops": _chain("LogOp", "Normalize")})
    ctx = context(Recipe.model_validate(recipe), tmp_path, data=tmp_path / "data")
    assert main(command(ctx, "ingest")) == 3
    assert failure(tmp_path)["reason"] == "OutOfRange"


@pytest.mark.parametrize("name", CASES)
def test_bad_data(name: str, tmp_path: Path) -> None:
    spoil, reason, file, column = CASES[name]
    folder = tmp_path / "data" / "films"
    films.write(folder)
    spoil(folder)
    ctx = context(films.RECIPE, tmp_path, data=tmp_path / "data")
    assert main(command(ctx, "ingest")) == 3
    error = failure(tmp_path)
    assert error["reason"] == reason
    assert (error.get("file"), error.get("column")) == (file, column)
    assert len(error["message"]) > 20
    assert not ctx.folder("ingest").exists()


def test_ids_that_never_match(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "films"
    films.write(folder)
    frame("people.parquet", lambda t: t.assign(person=t.person + 1_000_000))(folder)
    ctx = context(films.RECIPE, tmp_path, data=tmp_path / "data")
    assert main(command(ctx, "ingest")) == 0
    assert main(command(ctx, "features")) == 3
    assert failure(tmp_path)["reason"] == "UnknownIds"


def _chain(*ops: dict[str, Any] | str) -> list[dict[str, Any]]:
    return [{"op": op} if isinstance(op, str) else op for op in ops]


@pytest.mark.parametrize(
    ("kind", "feature", "reason"),
    [
        ("item", {"name": "x", "column": "year", "ops": _chain("Categorify", "Normalize")}, "InvalidChain"),
        ("item", {"name": "x", "column": "year", "ops": _chain("Normalize", "HourSin")}, "InvalidChain"),
        ("item", {"name": "x", "column": "year", "ops": _chain("LogOp", "LogOp")}, "InvalidChain"),
        ("item", {"name": "x", "column": "year", "ops": _chain("Bucketize")}, "InvalidChain"),
        ("item", {"name": "x", "column": "year", "ops": _chain("Normalize", "Categorify")}, "InvalidChain"),
        (
            "item",
            {"name": "x", "column": "year", "ops": _chain("LogOp", {"op": "FillMissing", "value": 1})},
            "InvalidChain",
        ),
        (
            "item",
            {"name": "x", "column": "year", "ops": _chain("LogOp", {"op": "HashBucket", "numBuckets": 9})},
            "InvalidChain",
        ),
        (
            "item",
            {"name": "x", "column": "year", "ops": _chain({"op": "FillMissing", "value": -1}, "LogOp")},
            "OutOfRange",
        ),
        (
            "item",
            {"name": "x", "column": "year", "ops": _chain({"op": "Bucketize", "boundaries": [3, 1]})},
            "InvalidChain",
        ),
        ("item", {"name": "film", "column": "year", "ops": _chain("Normalize")}, "DuplicateFeature"),
        ("item", {"name": "__id__", "column": "year", "ops": _chain("Normalize")}, "InvalidName"),
        (
            "item",
            {"name": "x", "column": "y", "ops": _chain("Categorify"), "mostFrequent": "genre"},
            "InvalidDerived",
        ),
        (
            "user",
            {"name": "x", "column": "y", "ops": _chain("Normalize"), "mostFrequent": "genre"},
            "InvalidDerived",
        ),
        (
            "user",
            {"name": "x", "column": "person", "ops": _chain("Categorify"), "mostFrequent": "genre"},
            "InvalidDerived",
        ),
    ],
)
def test_impossible_features(kind: str, feature: dict[str, Any], reason: str, tmp_path: Path) -> None:
    films.write(tmp_path / "data" / "films")
    recipe = films.RECIPE.model_dump(mode="json", by_alias=True)
    recipe["features"][kind].append(feature)
    ctx = context(Recipe.model_validate(recipe), tmp_path, data=tmp_path / "data")
    assert main(command(ctx, "ingest")) == 3
    assert failure(tmp_path)["reason"] == reason


@pytest.mark.parametrize(("kind", "reason"), [("user", "MissingId"), ("item", "MissingId")])
def test_an_entity_without_its_id(kind: str, reason: str, tmp_path: Path) -> None:
    films.write(tmp_path / "data" / "films")
    recipe = films.RECIPE.model_dump(mode="json", by_alias=True)
    del recipe["features"][kind][0]
    ctx = context(Recipe.model_validate(recipe), tmp_path, data=tmp_path / "data")
    assert main(command(ctx, "ingest")) == 3
    assert failure(tmp_path)["reason"] == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"features": {"user": [{"name": "a", "column": "b", "ops": [{"op": "Hash"}]}]}}', "InvalidRecipe"),
        ('{"data": {"source": {}}}', "InvalidRecipe"),
        ("no json", "InvalidRecipe"),
        (None, "MissingFile"),
    ],
)
def test_a_recipe_that_is_none(text: str | None, reason: str, tmp_path: Path) -> None:
    arguments = command(context(films.RECIPE, tmp_path), "ingest")
    config = Path(arguments[arguments.index("--config") + 1])
    config.unlink() if text is None else config.write_text(text)
    assert main(arguments) == 3
    assert failure(tmp_path)["reason"] == reason


def test_a_volume_without_the_folder(tmp_path: Path) -> None:
    assert main(command(context(films.RECIPE, tmp_path, data=tmp_path), "ingest")) == 3
    assert failure(tmp_path)["reason"] == "MissingFile"


def test_a_long_message_fits_the_termination_log(tmp_path: Path) -> None:
    films.write(tmp_path / "data" / "films")
    films_file = tmp_path / "data" / "films" / "films.parquet"
    table = pq.read_table(films_file, columns=["film", "genre"])
    for number in range(2000):
        table = table.append_column(f"c{number:04}", table["film"])
    pq.write_table(table, films_file)
    assert main(command(context(films.RECIPE, tmp_path, data=tmp_path / "data"), "ingest")) == 3
    assert failure(tmp_path)["column"] == "year"
