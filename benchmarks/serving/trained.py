"""A package of the default recipe, trained by the real steps, kept outside of the tree by what made it."""

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("training_images/merlin/recstack_training", "triton_templates/recstack_triton_templates/stages")
CACHE = Path(os.environ.get("RECSTACK_CACHE", Path.home() / ".cache" / "recstack")) / "benchmarks"


@dataclass(frozen=True)
class Trained:
    """``package``: its folder; ``items``: the raw table of the catalog."""

    package: Path
    items: Path


def trained(python: Path) -> Trained:
    """The package; minutes when the training's code or packages changed. ``python``: the training image's."""
    folder = CACHE / _key()
    result = folder / "result.json"
    if not result.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.json").write_text("{}")
        paths = {"config": "recipe.json", "work": "work", "termination-log": "termination"}
        words = [word for name, path in paths.items() for word in (f"--{name}", str(folder / path))]
        names = ("--artifacts", f"file://{folder}/artifacts", "--version", "bench", "--stack", "shop/retail")
        output = subprocess.run(
            [python, "-m", "recstack_training", "all", *words, *names],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("w"),
        ).stdout
        digest = json.loads(output.splitlines()[-1])["package"].removeprefix("sha256:")
        result.write_text(json.dumps(digest))
    digest = json.loads(result.read_text())
    return Trained(
        folder / "artifacts" / "packages" / digest, next((folder / "work" / "data").glob("*/items.parquet"))
    )


def _key() -> str:
    digest = hashlib.sha256((ROOT / "training_images/merlin/requirements.lock").read_bytes())
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
