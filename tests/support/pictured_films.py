"""Pictures of films and encoders' checkpoints. Run by the Python that has Merlin; argument: the folder."""

import sys
from pathlib import Path

import illustrated
import numpy as np
from PIL import Image

FILMS = range(10_001, 10_181)
WITHOUT = 3
"""So many films have no picture; that of the last one cannot be read."""


def main() -> None:
    """Write ``encoders/minilm`` and ``encoders/clip``, and ``tables/stills/<film>.png``."""
    folder = Path(sys.argv[1])
    illustrated.write_checkpoints(folder / "encoders")
    stills = folder / "tables" / "stills"
    stills.mkdir(parents=True)
    rng = np.random.default_rng(6)
    for film in FILMS[WITHOUT:-1]:
        pixels = rng.integers(0, 256, (40, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(stills / f"{film}.png")
    (stills / f"{FILMS[-1]}.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")


if __name__ == "__main__":
    main()
