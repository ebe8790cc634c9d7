"""The look at the data: days beside those of a version, and drift of the newest one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import films
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recstack_training import drift
from recstack_training.cli import main
from recstack_training.context import Context
from recstack_triton_templates.stages.transforms import Array
from runs import command


def look(ctx: Context, after: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main([*command(ctx, "check"), "--after", after]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert len(line) < 4096
    found: dict[str, object] = json.loads(line)["check"]
    return found


def test_days_beside_those_of_the_version(retail: Context, capsys: pytest.CaptureFixture[str]) -> None:
    found = look(retail, "day_04.parquet", capsys)
    assert found["newest"] == "day_05.parquet"
    assert (found["days"], found["newDays"]) == (6, 1)
    assert found["fresh"] == {"first": "day_05.parquet", "last": "day_05.parquet"}
    assert found["window"] == {"first": "day_01.parquet", "last": "day_05.parquet"}
    assert "fresh" not in look(retail, "day_05.parquet", capsys)
    assert not list((retail.work / "data").glob(".check-*"))
    psi = found["psi"]
    assert isinstance(psi, dict)
    assert 0 < max(psi.values()) < 0.2, "days of one generator do not drift"
    watched = {f.name for side in drift.watched(retail.recipe).values() for f in side}
    assert set(psi) == watched
    assert "user_id" not in psi


def test_a_day_of_other_people_and_films_has_drifted(
    film: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(film.data, data)
    seen = data / "films" / "seen"
    day = pd.read_parquet(seen / f"{films.DAYS - 1}.parquet")
    catalog = pd.read_parquet(data / "films" / "films.parquet")
    one = catalog[catalog["genre"] == "crime"]["film"].to_numpy()
    day["movie"] = np.resize(one, len(day))
    day.to_parquet(seen / f"{films.DAYS}.parquet")
    found = look(replace(film, data=data), f"seen/{films.DAYS - 1}.parquet", capsys)
    psi = found["psi"]
    assert isinstance(psi, dict)
    assert psi["genre"] > 1
    assert max(psi, key=psi.__getitem__) in {"genre", "decade", "mood"}


def test_without_the_versions_files_days_are_still_seen(
    film: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = look(replace(film, work=tmp_path / "work"), "seen/0.parquet", capsys)
    assert found["newDays"] == films.DAYS - 1
    assert found["psi"] == {}


def test_the_index_is_what_its_definition_says() -> None:
    """Two bins, a half and a half against a fifth and four: (.2-.5)ln(.2/.5) + (.8-.5)ln(.8/.5)."""
    expected, actual = np.array([500_000, 500_000]), np.array([200_000, 800_000])
    assert drift.psi(expected, actual) == pytest.approx(0.4159, abs=1e-4)
    assert drift.psi(expected, expected * 3) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(drift.psi(np.array([10, 0]), np.array([0, 10])))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), st.lists(st.integers(0, 50), min_size=1))
def test_every_value_has_a_bin_and_the_same_does_not_drift(numbers: list[float], codes: list[int]) -> None:
    columns: dict[str, Array] = {"number": np.array(numbers, np.float32), "code": np.array(codes, np.int64)}
    learned = drift.histograms(columns)
    for name, values in columns.items():
        assert drift.counts(learned[name], values).sum() == len(values)
        assert len(drift.counts(learned[name], values[:1] + 7)) == len(learned[name]["counts"])
    assert all(abs(value) < 1e-9 for value in drift.indices(learned, columns).values())
