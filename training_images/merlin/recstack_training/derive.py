"""Columns that are derived from the log: the most frequent value among a user's events."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def most_frequent(user: Ints, value: Ints, time: Ints, users: int) -> Ints:
    """The most frequent ``value`` of each user, ties to the one seen last; -1 where a user has no event.

    ``user`` and ``value`` [N] are dense codes from 0, ``time`` [N] seconds. Returns [users].
    """
    out = np.full(users, -1, dtype=np.int64)
    if len(user) == 0:
        return out
    width = int(value.max()) + 1
    pair, index, count = np.unique(user * width + value, return_inverse=True, return_counts=True)
    latest = np.full(len(pair), np.iinfo(np.int64).min)
    np.maximum.at(latest, index.reshape(-1), time)
    order = np.lexsort((latest, count, pair // width))
    owner = pair[order] // width
    last = np.flatnonzero(np.append(owner[1:] != owner[:-1], True))
    out[owner[last]] = pair[order][last] % width
    return out
