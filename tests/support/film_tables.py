"""Tables of another trade than retail: viewers who rate films, as samples/films.yaml declares them."""

from pathlib import Path

import numpy as np
import pandas as pd

GENRES = np.array(["Drama", "Comedy", "Horror", "Western", "Musical", "Noir"])
START = 1_717_200_000  # 2024-06-01T00:00:00Z
DAY = 86_400


def write(folder: Path, viewers: int = 600, films: int = 180, ratings: int = 24_000, days: int = 5) -> None:
    """Write ratings_<day>, viewers and films; every viewer has one genre they mostly watch."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    film_ids = np.arange(10_001, 10_001 + films)
    genre = np.arange(films) % len(GENRES)
    year = rng.integers(1935, 2020, films)
    pd.DataFrame(
        {
            "film": film_ids,
            "name": [f"{GENRES[g]} no. {i}" for i, g in enumerate(genre)],
            "genre": GENRES[genre],
            "year": year.astype(np.int64),
        }
    ).to_parquet(folder / "films.parquet", index=False)
    viewer_ids = np.arange(1, viewers + 1)
    pd.DataFrame(
        {
            "viewer": viewer_ids,
            "birth_year": rng.integers(1940, 2010, viewers).astype(np.int64),
            "country": rng.choice(np.array(["PT", "CL", "KE", "IN"]), viewers),
        }
    ).to_parquet(folder / "viewers.parquet", index=False)
    taste = rng.integers(len(GENRES), size=viewers)
    for day in range(days):
        rows = ratings // days
        who = rng.integers(viewers, size=rows)
        liked = np.where(rng.random(rows) < 0.85, taste[who], rng.integers(len(GENRES), size=rows))
        # Within a genre the first films are watched more: popularity is worth beating, not trivial.
        rank = (rng.random(rows) ** 2 * (films // len(GENRES))).astype(np.int64)
        hour = np.where(liked % 2 == 0, 20, 14)
        pd.DataFrame(
            {
                "viewer": viewer_ids[who],
                "film": film_ids[rank * len(GENRES) + liked],
                "rated_at": START + day * DAY + hour * 3600 + rng.integers(3600, size=rows),
            }
        ).to_parquet(folder / f"ratings_{day:02d}.parquet", index=False)
