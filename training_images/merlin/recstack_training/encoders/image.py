"""CLIP's picture side (Radford et al. 2021, arXiv:2103.00020): projected as for its texts, unit length."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recstack_training.encoders import checkpoint
from recstack_training.errors import BadInput
from recstack_training.pca import Floats, Mask

BATCH = 32
LARGEST = 50_000_000
"""Pixels; a picture that says it has more is not opened."""


class ImageEncoder:
    """The checkpoint in ``folder``."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        library = checkpoint.transformers()
        config = library.AutoConfig.from_pretrained(str(folder), local_files_only=True)
        if config.model_type != "clip":
            raise BadInput("InvalidWeights", f"The encoder of pictures is a {config.model_type}: use a CLIP.")
        if not (folder / "preprocessor_config.json").is_file():
            raise BadInput("MissingWeights", "The checkpoint has no preprocessor_config.json: put it there.")
        self._model = checkpoint.load(library.TFCLIPModel, folder)
        self._prepare = library.CLIPImageProcessor.from_pretrained(str(folder), local_files_only=True)
        self.width: int = config.projection_dim
        size = config.vision_config.image_size

        @tf.function(input_signature=[tf.TensorSpec([None, 3, size, size], tf.float32)])  # type: ignore[untyped-decorator]
        def encode(pixels: Any) -> Any:
            return tf.math.l2_normalize(self._model.get_image_features(pixel_values=pixels), 1)

        self._encode = encode

    def __call__(self, paths: Sequence[Path]) -> tuple[Floats, Mask]:
        """Vectors [N, width], and which of them [N] could be read; the others are zero."""
        vectors = np.zeros((len(paths), self.width), np.float32)
        read = np.zeros(len(paths), np.bool_)
        for start in range(0, len(paths), BATCH):
            pictures = [(row, _open(paths[row])) for row in range(start, min(start + BATCH, len(paths)))]
            good = [(row, picture) for row, picture in pictures if picture is not None]
            if not good:
                continue
            rows = [row for row, _ in good]
            pixels = self._prepare([picture for _, picture in good], return_tensors="np")["pixel_values"]
            vectors[rows] = self._encode(pixels.astype(np.float32)).numpy()
            read[rows] = True
        return vectors, read


def _open(path: Path) -> Any:
    """A picture as RGB; None if it is damaged, cut off or no picture at all."""
    from PIL import Image, UnidentifiedImageError

    try:
        # A picture's oddities are counted, not warned of one by one.
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            if picture.width * picture.height > LARGEST or min(picture.size) == 0:
                return None
            return picture.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
