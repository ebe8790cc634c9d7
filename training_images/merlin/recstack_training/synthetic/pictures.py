"""Small pictures of products: a background for the category, a shape for the style, a tone for the price."""

import colorsys
from pathlib import Path

import numpy as np

from recstack_training.synthetic.catalog import Catalog

FOLDER = "item_images"
SIZE = 64
SHAPES = (3, 4, 5, 6, 8, 60)
"""Corners of the shapes; with as many as the last it is a circle."""


def draw(catalog: Catalog, folder: Path) -> None:
    """Write ``item_images/<id>.jpg`` for each product."""
    from PIL import Image, ImageDraw

    root = folder / FOLDER
    root.mkdir()
    styles = {style: place for place, style in enumerate(sorted(set(catalog.style.tolist())))}
    worth = np.argsort(np.argsort(catalog.price, kind="stable")) / len(catalog.price)
    for row, item in enumerate(catalog.ids.tolist()):
        style = styles[str(catalog.style[row])]
        hue = int(catalog.category[row]) / len(catalog.categories)
        picture = Image.new("RGB", (SIZE, SIZE), _colour(hue, 0.35, 0.95))
        corners = SHAPES[style % len(SHAPES)]
        turn = 360 * (style // len(SHAPES)) / max(1, len(styles) // len(SHAPES))
        circle = (SIZE / 2, SIZE / 2, SIZE * (0.25 + 0.15 * float(worth[row])))
        tone = _colour(hue + 0.5, 0.8, 0.4 + 0.5 * float(worth[row]))
        ImageDraw.Draw(picture).regular_polygon(circle, corners, rotation=turn, fill=tone)
        picture.save(root / f"{item}.jpg", quality=85)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(255 * red), int(255 * green), int(255 * blue)
