"""A step is done once and whole, or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_training.cli import main
from recstack_training.context import STEPS, Context, Made
from runs import RETAIL, command, context


def test_results_are_reported_and_kept(retail: Context, capsys: pytest.CaptureFixture[str]) -> None:
    """Run again, every step gives its recorded result without doing anything."""
    start = time.monotonic()
    assert main(command(retail, "all")) == 0
    assert time.monotonic() - start < 2
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["step"] for r in results] == list(retail.steps)
    for result in results:
        assert result["computeSeconds"] > 0
        assert result["metrics"]
    assert results[-1]["package"].startswith("sha256:")
    assert json.loads((retail.work / "termination").read_text()) == results[-1]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_dies_leaves_nothing(
    step: str, retail: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is killed after its files and before its end; the next run ignores them and starts afresh."""
    ctx = context(RETAIL, tmp_path)
    for earlier in set(STEPS[: STEPS.index(step)]) & set(retail.steps):
        ctx.run.mkdir(parents=True, exist_ok=True)
        ctx.folder(earlier).symlink_to(retail.folder(earlier))
    module = import_module(f"recstack_training.steps.{step.replace('-', '_')}")

    def killed(_: Context, folder: Path) -> Any:
        (folder / "half").write_text("made")
        raise KeyboardInterrupt

    def whole(_: Context, folder: Path) -> Made:
        assert list(folder.iterdir()) == []
        return Made({"fine": 1})

    monkeypatch.setattr(module, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        main(command(ctx, step))
    assert not ctx.folder(step).exists()
    monkeypatch.setattr(module, "run", whole)
    assert main(command(ctx, step)) == 0
    assert {p.name for p in ctx.folder(step).iterdir()} == {"done.json"}
    assert not (ctx.run / f".{step}.tmp").exists()


def test_a_generator_that_is_killed_is_run_again(tmp_path: Path) -> None:
    """SIGKILL in the middle of the files: none is visible; the second run gives the full tables."""
    recipe = RETAIL.model_dump(mode="json", by_alias=True)
    recipe["data"]["source"]["synthetic"] |= {"interactions": 4_000_000, "users": 20_000}
    ctx = context(Recipe.model_validate(recipe), tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen([sys.executable, "-m", "recstack_training", *command(ctx, "ingest")],
                          env=environment) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not list(ctx.run.glob(".ingest.tmp/generated/day_01.parquet")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not ctx.folder("ingest").exists()
    assert not (ctx.work / "data").exists()
    assert main(command(ctx, "ingest")) == 0
    assert [p.name for p in ctx.run.iterdir()] == ["ingest"]
    assert len(list((ctx.work / "data").glob("synthetic-*/day_*.parquet"))) == 6


def test_a_step_needs_what_came_before(tmp_path: Path) -> None:
    """A step without the earlier ones fails (the Job tries again), it makes nothing up."""
    with pytest.raises(FileNotFoundError):
        main(command(context(RETAIL, tmp_path), "evaluate"))
