"""Trending items among the candidates: how many, which, instead of which."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.stages.transforms import Array
from recstack_triton_templates.stages.trending import (
    RETRIEVAL,
    TRENDING,
    TrendingUnavailable,
    interleave,
    mix,
    rows_of,
)
from recstack_triton_templates.trending_keys import TrendingKeys
from recstack_triton_templates.trends import Trends

ITEMS = 30
IDS = np.arange(ITEMS) * 2 + 100
ROWS = st.lists(st.integers(0, ITEMS - 1), unique=True, max_size=ITEMS)


def ints(values: list[int]) -> Array:
    return np.array(values, np.int64)


@given(ROWS, ROWS, st.sets(st.integers(0, ITEMS - 1)), st.integers(0, ITEMS), st.integers(1, ITEMS))
def test_mix(retrieved: list[int], trending: list[int], saw: set[int], wanted: int, count: int) -> None:
    retrieved = [row for row in retrieved if row not in saw][:count]
    known = IDS[sorted(saw)]
    rows, sources = mix(
        ints(retrieved), ints(trending), IDS,
        seen=(lambda ids: np.isin(ids, known)) if saw else None, wanted=wanted, count=count,
    )  # fmt: skip
    taken = [row for row in trending if row not in saw][: min(wanted, count)]
    found = dict(zip(rows.tolist(), sources.tolist(), strict=True))
    assert len(found) == len(rows) == min(count, len(set(retrieved) | set(taken))) >= len(retrieved)
    assert not set(found) & saw
    assert set(taken) <= set(found)
    for row, source in found.items():
        assert source == (row in retrieved) * RETRIEVAL + (row in taken) * TRENDING
    kept = [row for row in retrieved if row in found]
    assert rows.tolist() == [*kept, *(row for row in taken if row not in retrieved)]
    alone = [row for row in retrieved if row not in taken]
    left = [row for row in alone if row in found]
    assert left == alone[: len(left)], "the last of retrieval alone make room, no others"


@given(st.lists(ROWS, max_size=4))
def test_lists_take_turns(lists: list[list[int]]) -> None:
    expected: list[int] = []
    for rank in range(ITEMS):
        expected += [one[rank] for one in lists if rank < len(one)]
    assert interleave([ints(one) for one in lists]).tolist() == list(dict.fromkeys(expected))


def test_ids_of_no_item_are_left_out() -> None:
    assert rows_of(ints([104, 99, 105, 158, 10**12, 100]), IDS).tolist() == [2, 29, 0]
    assert rows_of(ints([1]), IDS[:0]).tolist() == []


class Lists:
    keys = TrendingKeys("shop/retail")

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], int]] = []
        self.down = False

    def lists(self, names: Sequence[str], count: int) -> list[Array]:
        if self.down:
            raise TrendingUnavailable("down")
        self.asked.append((list(names), count))
        return [IDS[:2] if name.endswith("global") else IDS[5:7] for name in names]


@pytest.fixture
def lists() -> Lists:
    return Lists()


SETTINGS = ServingSettings(
    trending_candidates=3, trending_cold_candidates=9, trending_by={"taste": "genre", "age": "decade"}
)


def test_whose_lists(lists: Lists) -> None:
    trends = Trends(lists, SETTINGS, IDS)
    known = {"taste": np.array(["jazz"]), "age": np.array([None], object), "name": np.array(["x"])}
    warm, cold, plain = trends.of([known, {}, known], [False, False, True])
    jazz, everywhere = lists.keys.among("genre", "jazz"), lists.keys.everywhere()
    assert lists.asked == [([jazz, everywhere], 18)], "each list once, in one call"
    assert (warm.rows.tolist(), warm.wanted) == ([5, 0, 6, 1], 3)
    assert (cold.rows.tolist(), cold.wanted) == ([0, 1], 9)
    assert (plain.rows.tolist(), plain.wanted) == ([], 0)


def test_down_is_told_to_those_who_miss_something(lists: Lists) -> None:
    lists.down = True
    settings = ServingSettings(trending_cold_candidates=9)
    found = Trends(lists, settings, IDS).of([{"taste": np.array([1])}, {}], [False, False])
    assert [(len(one.rows), one.down) for one in found] == [(0, False), (0, True)]
