"""Another schema is another recipe, not another code path."""

import json
from pathlib import Path

import films
import numpy as np
import pytest
from recstack_training.bundle import PARTS, files
from recstack_training.context import Context
from recstack_training.dataset import arrays
from recstack_training.served import Bundle
from recstack_training.steps.evaluate import METRICS, WHOLE


def test_it_learns_and_states_all_metrics(film: Context) -> None:
    report = json.loads((film.folder("evaluate") / PARTS / "evaluation.json").read_text())
    assert set(report["metrics"]) == {*METRICS, *WHOLE}
    assert report["metrics"]["recall@10/popularity"] > 1.3
    assert report["metrics"]["auc"] > 0.6
    assert report["retrieval"]["candidates"] == films.FILMS, "fewer items than candidates: all of them"
    assert report["retrieval"]["recall@candidates"] == pytest.approx(1)


def test_genres_and_years_may_be_null(film: Context) -> None:
    items = arrays(film.folder("features") / PARTS / "items.npz")
    assert items["__id__"].tolist() == list(range(100, 100 + films.FILMS))
    assert items["genre"][7] == 1
    assert (np.delete(items["genre"], 7) >= 3).all()
    assert (items["decade"] >= 3).all(), "a year that is not known counts as the mean year"


def test_people_without_events_have_no_taste(film: Context) -> None:
    """They are in the tables, so they are not refused; both features say that nothing is known."""
    bundle = Bundle(files(film, film.before("package")), film.recipe)
    silent = 7 * np.arange(films.PEOPLE - films.SILENT, films.PEOPLE)
    encoded = bundle.user(np.append(silent, 7))
    assert encoded["viewer"].tolist()[:-1] == [2] * films.SILENT
    assert encoded["taste"].tolist()[:-1] == [2] * films.SILENT
    assert min(encoded["viewer"][-1], encoded["taste"][-1]) >= 3
    raw = arrays(film.folder("features") / PARTS / "users.npz")["taste"]
    assert set(raw) - set(films.GENRES) == {""}


def test_without_titles_and_context(film: Context) -> None:
    root = film.folder("features") / PARTS
    assert json.loads((root / "titles.json").read_text()) == [None] * films.FILMS
    assert not Path(root / "workflows" / "context").exists()
    probe = json.loads((film.folder("package") / PARTS / "probe.json").read_text())
    assert all(set(request["context"]) == {"at"} for request in probe)
