"""Another world: people, films, genres, years. No pictures, no device, no numbers, nothing of the request."""

from pathlib import Path

import numpy as np
import pandas as pd
from recstack_crds.v1alpha1.modelversion import Recipe

PEOPLE, FILMS, DAYS, EVENTS = 120, 60, 4, 1500
"""Number of each; ``EVENTS`` a day."""
GENRES = np.array(["crime", "comedy", "drama", "western"])
SILENT = 5
"""People without any event in the training days."""
RECIPE = Recipe.model_validate(
    {
        "data": {
            "source": {"volume": {"claimName": "films", "path": "films"}},
            "tables": {
                "interactions": {"path": "seen/*.parquet", "user": "who", "item": "movie", "timestamp": "at"},
                "users": {"path": "people.parquet", "id": "person"},
                "items": {"path": "films.parquet", "id": "film"},
            },
            "window": {"trainDays": 3, "evaluationDays": 1},
        },
        "features": {
            "user": [
                {"name": "viewer", "column": "person", "ops": [{"op": "Categorify"}]},
                {"name": "taste", "column": "taste", "ops": [{"op": "Categorify"}], "mostFrequent": "genre"},
            ],
            "item": [
                {"name": "film", "column": "film", "ops": [{"op": "Categorify"}]},
                {"name": "genre", "column": "genre", "ops": [{"op": "Categorify"}]},
                {
                    "name": "decade",
                    "column": "year",
                    "ops": [{"op": "Bucketize", "boundaries": [1970, 1990, 2010]}, {"op": "Categorify"}],
                },
                {
                    "name": "age",
                    "column": "year",
                    "ops": [
                        {"op": "FillMissing", "value": 1980},
                        {"op": "Clip", "min": 1960, "max": 2020},
                        {"op": "NormalizeMinMax"},
                    ],
                },
                {"name": "mood", "column": "genre", "ops": [{"op": "HashBucket", "numBuckets": 16}]},
            ],
            "context": [],
        },
        "models": {
            "retrieval": {"batchSize": 128, "epochs": 4, "index": {"type": "IVF", "nlist": 4, "nprobe": 1}}
        },
    }
)


def write(folder: Path) -> None:
    """Parquet files in which everybody watches mostly one genre; a few films have no genre, no year."""
    rng = np.random.default_rng(3)
    (folder / "seen").mkdir(parents=True)
    genre = rng.integers(len(GENRES), size=FILMS)
    year = rng.integers(1950, 2024, size=FILMS).astype(float)
    year[3] = np.nan
    names = GENRES[genre].astype(object)
    names[7] = None
    films = pd.DataFrame({"film": 100 + np.arange(FILMS), "genre": names, "year": year})
    films.sample(frac=1, random_state=1).to_parquet(folder / "films.parquet")
    pd.DataFrame({"person": 7 * np.arange(PEOPLE)}).to_parquet(folder / "people.parquet")
    liked = rng.integers(len(GENRES), size=PEOPLE)
    for day in range(DAYS):
        people = rng.integers(PEOPLE if day == DAYS - 1 else PEOPLE - SILENT, size=EVENTS)
        film = rng.integers(FILMS, size=EVENTS)
        for row in np.flatnonzero(rng.random(EVENTS) < 0.8):
            film[row] = rng.choice(np.flatnonzero(genre == liked[people[row]]))
        at = day * 86_400 + rng.integers(86_400, size=EVENTS)
        pd.DataFrame({"who": 7 * people, "movie": 100 + film, "at": at}).to_parquet(
            folder / "seen" / f"{day}.parquet"
        )
