"""Cron lines: time zones, clocks that are put forward and back, and one series whatever the start."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from recstack_controllers.kit import duration
from recstack_controllers.kit.cron import Cron, parse

LINES = ["30 2 * * *", "0 3 * * *", "*/20 * * * *", "0 */2 * * *", "15 1-3 * * 0", "0 0 1 * *", "5 4 * * 1#2"]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Casablanca",
]


def times(line: str, zone: str, start: datetime, count: int) -> list[str]:
    found, moment, cron = [], start, parse(line, zone)
    for _ in range(count):
        due = cron.after(moment)
        assert due is not None
        found.append(due.isoformat().removesuffix("+00:00"))
        moment = due
    return found


def test_a_time_zone_is_kept_over_the_seasons() -> None:
    assert times("0 9 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), 1) == [
        "2026-03-29T07:00:00"
    ]
    assert times("0 9 * * *", "Europe/Berlin", datetime(2026, 3, 27, 12, tzinfo=UTC), 1) == [
        "2026-03-28T08:00:00"
    ]


def test_a_time_that_is_left_out_is_due_after_the_gap() -> None:
    found = times("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), 2)
    assert found == ["2026-03-29T01:00:00", "2026-03-30T00:30:00"]


@pytest.mark.parametrize("minutes", [0, 20, 40, 70, 100])
def test_a_time_that_comes_twice_is_due_once(minutes: int) -> None:
    start = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 summer time, which is due
    assert times("30 2 * * *", "Europe/Berlin", start - timedelta(minutes=1), 2) == [
        "2026-10-25T00:30:00",
        "2026-10-26T01:30:00",
    ]
    later = start + timedelta(
        minutes=minutes
    )  # also when one begins to look within the second 02:00 to 03:00
    assert times("30 2 * * *", "Europe/Berlin", later, 1) == ["2026-10-26T01:30:00"]


def test_what_is_due_every_half_hour_keeps_its_distance() -> None:
    for start in (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)):
        found = [datetime.fromisoformat(one) for one in times("*/30 * * * *", "Europe/Berlin", start, 12)]
        assert {after - before for before, after in pairwise(found)} == {timedelta(minutes=30)}


def test_a_day_that_never_comes_is_none() -> None:
    assert parse("0 0 29 2 *", "UTC").after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(
        2028, 2, 29, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("line", "zone", "said"),
    [
        ("61 * * * *", "UTC", "bad minute"),
        ("* * * *", "UTC", "cron"),
        ("0 0 31 2 *", "UTC", "bad day-of-month"),
        ("* * * * *", "Mars/Olympus", "no time zone Mars/Olympus"),
        ("* * * * *", "Europe", "no time zone Europe"),
        ("* * * * *", "../etc/passwd", "no time zone"),
    ],
)
def test_what_is_none_is_said(line: str, zone: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(line, zone)


@given(
    line=st.sampled_from(LINES),
    zone=st.sampled_from(ZONES),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    ahead=st.timedeltas(timedelta(0), timedelta(days=40)),
)
@settings(max_examples=60, deadline=None)
def test_it_is_one_series_whatever_the_start(line: str, zone: str, start: datetime, ahead: timedelta) -> None:
    cron, begin = parse(line, zone), start.replace(tzinfo=UTC)
    first = cron.after(begin)
    assert first is not None
    assert first > begin
    until = max(first, begin + ahead)
    walked = list(_until(cron, first, until))
    assert cron.latest(first, until) == walked[-1]
    for one, after in islice(pairwise(walked), 200):
        assert one < after
        middle = one + (after - one) / 2
        assert cron.after(middle) == after


def _until(cron: Cron, first: datetime, until: datetime) -> list[datetime]:
    found, due = [], first
    while due is not None and due <= until:
        found.append(due)
        following = cron.after(due)
        assert following is not None
        due = following
    return found


def test_durations() -> None:
    assert [duration.parse(text) for text in ("90m", "36h", "2d")] == [
        timedelta(minutes=90),
        timedelta(hours=36),
        timedelta(days=2),
    ]
