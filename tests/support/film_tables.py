"""Tables of another trade than retail: viewers who rate films, as samples/films.yaml declares them."""

from pathlib import Path

import numpy as np
import pandas as pd

GENRES = np.array(["Drama", "Comedy", "Horror", "Western", "Musical", "Noir"])
START = 1_717_200_000  # 2024-06-01T00:00:00Z
DAY = 86_400
VIEWERS, FILMS, RATINGS = 600, 180, 4_800
"""Ratings are those of a day."""


def write(folder: Path, days: int = 5) -> None:
    """Write ratings_<day>, viewers and films; every viewer has one genre they mostly watch."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    genre = np.arange(FILMS) % len(GENRES)
    pd.DataFrame(
        {
            "film": np.arange(10_001, 10_001 + FILMS),
            "name": [f"{GENRES[g]} no. {i}" for i, g in enumerate(genre)],
            "genre": GENRES[genre],
            "year": rng.integers(1935, 2020, FILMS).astype(np.int64),
        }
    ).to_parquet(folder / "films.parquet", index=False)
    pd.DataFrame(
        {
            "viewer": np.arange(1, VIEWERS + 1),
            "birth_year": rng.integers(1940, 2010, VIEWERS).astype(np.int64),
            "country": rng.choice(np.array(["PT", "CL", "KE", "IN"]), VIEWERS),
        }
    ).to_parquet(folder / "viewers.parquet", index=False)
    for day in range(days):
        evening = START + day * DAY + 14 * 3600
        write_day(folder / f"ratings_{day:02d}.parquet", evening, seed=day, hours=6)


def write_day(path: Path, at: int, *, seed: int, hours: int = 0) -> None:
    """Write one day's ratings, from ``at`` (seconds since 1970) on; genres of even number ``hours`` later."""
    rng = np.random.default_rng(100 + seed)
    taste = np.random.default_rng(5).integers(len(GENRES), size=VIEWERS)
    who = rng.integers(VIEWERS, size=RATINGS)
    liked = np.where(rng.random(RATINGS) < 0.85, taste[who], rng.integers(len(GENRES), size=RATINGS))
    # Within a genre the first films are watched more: popularity is worth beating, not trivial.
    rank = (rng.random(RATINGS) ** 2 * (FILMS // len(GENRES))).astype(np.int64)
    pd.DataFrame(
        {
            "viewer": 1 + who,
            "film": 10_001 + rank * len(GENRES) + liked,
            "rated_at": at + np.where(liked % 2 == 0, hours * 3600, 0) + rng.integers(3600, size=RATINGS),
        }
    ).to_parquet(path, index=False)
