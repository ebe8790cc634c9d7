"""Arguments in, one step, result out: the only place that prints and chooses an exit status."""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError
from recstack_crds.v1alpha1.modelversion import Days, Findings, Recipe

from recstack_training.context import PARENT, STEPS, Context, Made, StepResult, once
from recstack_training.errors import BAD_INPUT_EXIT_CODE, BadInput

CHECK = "check"
"""Not a step: see ``check.py``."""
TERMINATION_LIMIT = 4096
"""Kubernetes keeps no more bytes of a termination message."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; argparse exits with 2 on a wrong one."""
    parser = argparse.ArgumentParser(prog="recstack_training")
    parser.add_argument("step", choices=[PARENT, *STEPS, "all", CHECK])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--artifacts", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--image", default="")
    parser.add_argument("--data", type=Path, default=Path("/data"))
    parser.add_argument("--weights", type=Path, default=Path("/weights"))
    parser.add_argument("--live-package", default="", help="sha256:... that relative gates compare with")
    parser.add_argument("--parent-package", default="", help="sha256:... that a fine-tune goes on from")
    parser.add_argument("--first-day", default="", help="file of the first day; needs --last-day")
    parser.add_argument("--last-day", default="", help="file of the last day")
    parser.add_argument("--after", default="", help="check: last day's file of the version --version")
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"))
    return parser.parse_args(argv)


def _recipe(path: Path) -> Recipe:
    try:
        return Recipe.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise BadInput("MissingFile", f"{path} does not exist; mount the recipe there.", str(path)) from None
    except ValidationError as error:
        raise BadInput(
            "InvalidRecipe", f"The recipe does not match the API: {error.errors()[0]}.", str(path)
        ) from None


def run_step(ctx: Context, step: str) -> StepResult:
    """Run one step, once. Modules are imported late: only training steps pay for TensorFlow."""
    module = importlib.import_module(f"recstack_training.steps.{step.replace('-', '_')}")

    def body(folder: Path) -> StepResult:
        start = time.perf_counter()
        made: Made = module.run(ctx, folder)
        return StepResult(step, time.perf_counter() - start, made)

    return once(ctx, step, body)


def look(ctx: Context, after: str) -> dict[str, Any]:
    """Run the check; its result as the operator reads it."""
    start = time.perf_counter()
    module = importlib.import_module("recstack_training.check")
    (ctx.work / "data").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=ctx.work / "data", prefix=".check-") as scratch:
        found: Findings = module.run(ctx, after, Path(scratch) / "generated")
    return {
        "step": CHECK,
        "computeSeconds": round(time.perf_counter() - start, 3),
        "check": found.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def report(value: dict[str, Any], log: Path) -> None:
    """Print as the last line of stdout and write the termination message, shortened to what fits."""
    text = _line(value)
    if len(text.encode()) > TERMINATION_LIMIT and "error" in value:
        value["error"]["message"] = value["error"]["message"][:2000]
        text = _line(value)
    print(text, flush=True)
    try:
        log.write_text(text[:TERMINATION_LIMIT])
    except OSError:
        print(f"no termination log at {log}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step named on the command line; return the exit status (3: bad input, never retry)."""
    args = parse(argv)
    step = args.step
    try:
        ctx = Context(
            _recipe(args.config), args.work, args.artifacts, args.version, args.stack, args.image, args.data,
            args.live_package, args.weights, args.parent_package,
            Days(first=args.first_day, last=args.last_day) if args.first_day else None,
        )  # fmt: skip
        if args.step == CHECK:
            report(look(ctx, args.after), args.termination_log)
            return 0
        for step in ctx.steps if args.step == "all" else (args.step,):
            report(run_step(ctx, step).as_json(), args.termination_log)
    except BadInput as error:
        report({"step": step, "error": error.as_json()}, args.termination_log)
        return BAD_INPUT_EXIT_CODE
    return 0
