"""Behavioural features as they were when requests were answered, instead of as the log has them today.

A fine-tune trains on what the model was given, not on what one would derive now with more of the log: the two
differ by late and lost events, and by all that happened after the request. The events worker leaves each
person's features whenever they change, ``docs/spec/offline.md``; of those the last before an event holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from recstack_crds.v1alpha1.features import Feature
from recstack_crds.v1alpha1.modelversion import Skew
from recstack_triton_templates.stages.transforms import Array

from recstack_training import drift
from recstack_training.artifacts import Store
from recstack_training.derive import Ints
from recstack_training.measures import Bools

OFFLINE, USERS, LIVE = "offline", "user_features", "live-"
TIME, CREATED = "event_timestamp", "created"


def fetch(store: Store, stack: str, folder: Path) -> int:
    """Copy the files that the events worker has left for ``stack``, ``namespace/name``; gives how many."""
    key = f"{OFFLINE}/{stack}/{USERS}"
    names = [name for name in store.files(key) if name.startswith(LIVE) and name.endswith(".parquet")]
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        with (folder / name).open("wb") as file:
            file.writelines(store.read(f"{key}/{name}"))
    return len(names)


def read(folder: Path, key: str, columns: list[str]) -> pd.DataFrame:
    """All rows of the files, in order of time (seconds since 1970, rounded up); null where it is not known.

    Rounded up, since events have whole seconds: a value may not be older than it was.
    """
    frames = []
    for path in sorted(folder.glob("*.parquet")):
        there = set(pq.read_schema(path).names)
        wanted = [name for name in dict.fromkeys([key, *columns]) if name in there]
        table = pq.read_table(path, columns=[*wanted, TIME, CREATED])
        frame = table.to_pandas(integer_object_nulls=True)
        frame["__time"] = -(-frame[TIME].astype("int64") // 1_000_000_000)
        frames.append(frame)
    if not frames:
        return pd.DataFrame({name: [] for name in [key, *columns, "__time"]})
    whole = pd.concat(frames, ignore_index=True).reindex(columns=[key, *columns, TIME, CREATED, "__time"])
    ordered: pd.DataFrame = whole.sort_values([TIME, CREATED], kind="stable", ignore_index=True)
    return ordered


def last_before(row_user: Ints, row_time: Ints, user: Ints, time: Ints) -> Ints:
    """Row [N] of the last value of each event's ``user`` [N] at or before its ``time`` [N]; -1: none.

    Rows [R] rise in time; of equal times the later row counts.
    """
    order = np.argsort(row_user, kind="stable")
    rows, times = row_user[order], row_time[order]
    # One number for user and time, so that one search serves all.
    low = int(min(times.min(initial=0), time.min(initial=0)))
    width = int(max(times.max(initial=0), time.max(initial=0))) - low + 1
    place = np.searchsorted(rows * width + (times - low), user * width + (time - low), side="right") - 1
    found = (place >= 0) & (rows[np.maximum(place, 0)] == user) if len(rows) else np.zeros(len(user), bool)
    return np.where(found, order[np.maximum(place, 0)] if len(rows) else 0, -1)


@dataclass(frozen=True)
class Logged:
    """Values that were logged, of R rows: encoded by feature, with user rows of the table and seconds."""

    encoded: Mapping[str, Array]
    user: Ints
    time: Ints

    def at(self, user: Ints, time: Ints) -> tuple[Ints, Bools]:
        """Row of each event [N], and which events have one."""
        place = last_before(self.user, self.time, user, time)
        return np.maximum(place, 0), place >= 0

    def instead(self, users: Mapping[str, Array], user: Ints, time: Ints) -> dict[str, Array]:
        """Features of N events: what was logged, and where nothing was, those of the table ``users`` [U]."""
        place, found = self.at(user, time)
        out = {}
        for name, values in self.encoded.items():
            column = users[name][user].copy()
            column[found] = values[place[found]]
            out[name] = column
        return out

    def skew(self, users: Mapping[str, Array], user: Ints, time: Ints) -> Iterator[Skew]:
        """How what was logged differs from ``users`` [U], over the events [N] that have both."""
        place, found = self.at(user, time)
        for name, values in self.encoded.items():
            derived, given = users[name][user[found]], values[place[found]]
            psi = 0.0
            if len(given):
                bins = drift.histograms({name: derived})[name]
                psi = drift.psi(np.array(bins["counts"]), drift.counts(bins, given))
            yield Skew(
                feature=name,
                events=len(user),
                logged=int(found.sum()),
                differs=round(float((derived != given).mean()), 6) if len(given) else 0.0,
                psi=round(psi, 6),
            )


def behavioural(features: list[Feature]) -> list[Feature]:
    """Features that follow from what a person did."""
    return [feature for feature in features if feature.most_frequent]


def as_json(found: list[Skew]) -> list[dict[str, Any]]:
    """For the result of a step."""
    return [one.model_dump(mode="json", by_alias=True) for one in found]
