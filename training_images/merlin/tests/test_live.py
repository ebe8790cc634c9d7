"""A candidate against the live version, through its package, on the same requests."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import films
import numpy as np
import pandas as pd
import pytest
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_training.cli import main
from recstack_training.context import Context
from recstack_training.dataset import arrays
from recstack_training.errors import BAD_INPUT_EXIT_CODE
from runs import command, context

GATES = [
    {"metric": "recall@20", "relativeTo": "live", "minDifference": -0.001},
    {"metric": "auc", "relativeTo": "live", "minRatio": 0.99},
    {"metric": "recall@10", "slice": "genre=crime", "min": 0},
    {"metric": "ndcg@10", "slice": "genre=null", "min": 0},
    {"metric": "coverage@10", "min": 2},
]
SEGMENTS = [{"name": "genre", "column": "genre"}]


def asking(gates: list[dict[str, object]], segments: list[dict[str, str]]) -> Recipe:
    recipe = films.RECIPE.model_dump(mode="json", by_alias=True, exclude_none=True)
    recipe["evaluation"] = {"gates": gates, "segments": segments}
    return Recipe.model_validate(recipe)


def candidate(film: Context, root: Path, recipe: Recipe) -> Context:
    """A version whose training is done, with the films' artifacts."""
    ctx = context(recipe, root, "v2", film.data)
    ctx.run.mkdir(parents=True)
    for step in film.steps[: film.steps.index("evaluate")]:
        shutil.copytree(film.folder(step), ctx.folder(step))
    return Context(ctx.recipe, ctx.work, film.artifacts, ctx.version, ctx.stack, ctx.image, ctx.data)


def package(film: Context) -> str:
    digest: str = json.loads((film.folder("package") / "done.json").read_text())["package"]
    return digest


def test_it_is_measured_through_its_package_and_told(
    film: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ctx = candidate(film, tmp_path, asking(GATES, SEGMENTS))
    assert main([*command(ctx, "evaluate"), "--live-package", package(film)]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["passed"] for one in told["gates"]] == [True, True, True, True, False]
    assert told["gates"][0] == {"metric": "recall@20", "slice": "all", "value": 0.0, "bound": 0.0,
                                "threshold": -0.001, "passed": True, "reason": "Passed"}  # fmt: skip
    assert told["gates"][4]["reason"] == "BelowMin"
    parts = ctx.folder("evaluate") / "parts"
    assert {path.name for path in ctx.folder("evaluate").iterdir()} == {"parts", "done.json"}
    values = arrays(parts / "evaluation_requests.npz")
    assert len(values["user"]) == len(values["recall@10"]) <= 5_000
    for key in ("sums", "counts"):
        np.testing.assert_array_equal(values[f"gate0.live.{key}"], values[f"gate0.candidate.{key}"])
    text = (parts / "report.md").read_text()
    assert "**Rejected**: 1 of 5 gates are missed." in text
    assert f"| coverage@10 | all | {told['metrics']['coverage@10']:.4g} | – | 2 | **no** | BelowMin |" in text
    drawn = ElementTree.fromstring((parts / "report.svg").read_bytes()).iter()
    assert "recall@10 by slice (orange: live version)" in {node.text for node in drawn}
    slices = json.loads((parts / "evaluation.json").read_text())["slices"]
    assert slices["all"]["recall@10"] == pytest.approx(values["recall@10"].mean())
    assert slices["newUsers"]["requests"] >= 1
    assert "genre=null" in slices


def test_a_live_version_of_another_catalog_is_read_by_its_ids(
    film: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same model, its index without the last twenty films: what it lacks it neither lists nor ranks."""
    import faiss
    from recstack_training.artifacts import open_store
    from recstack_training.packages import fetch, publish

    left = films.FILMS - 20
    parts = fetch(open_store(film.artifacts), package(film), tmp_path / "small")
    items = arrays(parts["items.npz"])
    np.savez(parts["items.npz"], **{name: column[:left] for name, column in items.items()})
    index = faiss.IndexFlatIP(np.load(parts["item_embeddings.npy"]).shape[1])
    index.add(np.load(parts["item_embeddings.npy"])[:left])
    faiss.write_index(index, str(parts["index.faiss"]))
    store = open_store(film.artifacts)
    digest = publish(store, parts, {"schemaVersion": 1, "stack": "shop/small"}, tmp_path)
    better: list[dict[str, object]] = [
        {"metric": metric, "relativeTo": "live", "minDifference": 0} for metric in ("recall@20", "auc")
    ]
    ctx = candidate(film, tmp_path, asking(better, []))
    assert main([*command(ctx, "evaluate"), "--live-package", digest]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["gates"]
    assert [one["reason"] for one in told] == ["Passed", "Passed"], told
    assert all(0 < one["bound"] <= one["value"] for one in told)


def test_told_again_it_is_the_same(film: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ctx = candidate(film, tmp_path, asking(GATES[:1], []))
    line = [*command(ctx, "evaluate"), "--live-package", package(film)]
    assert main(line) == 0
    first = capsys.readouterr().out.splitlines()[-1]
    assert main(line) == 0
    assert capsys.readouterr().out.splitlines()[-1] == first


def test_no_live_version_passes_and_says_so(
    film: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ctx = candidate(film, tmp_path, asking(GATES[:2], []))
    assert main(command(ctx, "evaluate")) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(one["passed"], one["reason"]) for one in told["gates"]] == [(True, "NoLiveVersion")] * 2


@pytest.mark.parametrize(("column", "reason"), [("colour", "MissingColumn"), ("both", "AmbiguousColumn")])
def test_a_segment_needs_a_column_of_one_table(
    column: str, reason: str, film: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(film.data, tmp_path / "data")
    for name in ("people", "films"):
        path = tmp_path / "data" / "films" / f"{name}.parquet"
        pd.read_parquet(path).assign(both=1).to_parquet(path)
    ctx = context(asking([], [{"name": "shade", "column": column}]), tmp_path, data=tmp_path / "data")
    assert main(command(ctx, "ingest")) == BAD_INPUT_EXIT_CODE
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["reason"], error["column"]) == (reason, column)
