"""What the tests share: recipes, and command lines for them."""

from pathlib import Path

from recstack_crds.v1alpha1.modelversion import Recipe
from recstack_training.context import Context

RETAIL = Recipe.model_validate(
    {
        "data": {
            "source": {"synthetic": {"users": 300, "items": 200, "interactions": 12_000, "days": 6}},
            "window": {"trainDays": 4, "evaluationDays": 1},
        },
        "models": {"retrieval": {"batchSize": 256}, "ranking": {"epochs": 1}},
    }
)


NOWHERE = Path("/nonexistent")


def context(
    recipe: Recipe, root: Path, version: str = "v1", data: Path = NOWHERE, weights: Path = NOWHERE
) -> Context:
    return Context(
        recipe, root / "work", f"file://{root}/artifacts", version, "shop/retail", "image@1", data,
        weights=weights,
    )  # fmt: skip


def command(ctx: Context, step: str) -> list[str]:
    """The command line of a step; the recipe is written where it is read from."""
    ctx.work.mkdir(parents=True, exist_ok=True)
    config = ctx.work / f"{ctx.version}.json"
    config.write_text(ctx.recipe.model_dump_json(by_alias=True))
    return [
        step, "--config", str(config), "--work", str(ctx.work), "--artifacts", ctx.artifacts,
        "--version", ctx.version, "--stack", ctx.stack, "--image", ctx.image, "--data", str(ctx.data),
        "--weights", str(ctx.weights),
        "--termination-log", str(ctx.work / "termination"),
        *(("--parent-package", ctx.parent) if ctx.parent else ()),
        *(("--first-day", ctx.days.first, "--last-day", ctx.days.last) if ctx.days else ()),
    ]  # fmt: skip
