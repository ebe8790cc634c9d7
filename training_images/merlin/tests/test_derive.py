"""The most frequent value of a user's events."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from recstack_training.derive import most_frequent

EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(-5, 5)), max_size=40)


@given(EVENTS)
def test_equals_counting(events: list[tuple[int, int, int]]) -> None:
    who, what, when = np.array(events, dtype=np.int64).reshape(-1, 3).T
    got = most_frequent(who, what, when, users=6)
    for user in range(6):
        own = [(value, time) for owner, value, time in events if owner == user]
        if not own:
            assert got[user] == -1
            continue
        count = Counter(value for value, _ in own)
        last = {value: max(t for v, t in own if v == value) for value in count}
        best = max((count[value], last[value]) for value in count)
        assert (count[int(got[user])], last[int(got[user])]) == best
