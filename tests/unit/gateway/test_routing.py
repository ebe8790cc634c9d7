"""Who gets which version, and what mirrored replies are compared by."""

import itertools

import pytest
from recstack_gateway import routing
from recstack_gateway.plan import Route
from recstack_gateway.shadow import compare
from recstack_gateway.statistics import REMEMBERED, Once

PLACES = [583, 8900, 1831, 5770]


def test_a_place_does_not_change() -> None:
    """Every pod of every release must send a person the same way."""
    places = [routing.place("retail-1a2b", user) for user in (0, 17, -5, 2**63 - 1)]
    assert places == PLACES


def test_another_version_is_tried_on_other_people() -> None:
    first, second = (
        {user for user in range(10_000) if routing.place(version, user) < 1000} for version in ("v1", "v2")
    )
    assert len(first & second) < 200


def test_somebody_unknown_gets_one_by_lot() -> None:
    lots = itertools.cycle([0.0, 0.049, 0.051, 0.9])
    route = (Route(version="b", weight=5),)
    assert [routing.choose(route, None, lambda: next(lots)) for _ in range(4)] == ["b", "b", None, None]
    assert routing.choose((), 17) is None


@pytest.mark.parametrize(
    ("given", "mirrored", "found"),
    [
        (
            '{"items":[{"id":1,"score":0.5},{"id":2,"score":0.4}]}',
            '{"items":[{"id":2,"score":0.6}]}',
            (0.5, 0.2),
        ),
        ('{"items":[{"id":1,"score":0.5}]}', '{"items":[{"id":2,"score":0.6}]}', (0.0, 0.0)),
        ('{"items":[]}', '{"items":[{"id":2,"score":0.6}]}', None),
        ('{"problem":"k"}', '{"items":[]}', None),
    ],
)
def test_replies_are_compared(given: str, mirrored: str, found: tuple[float, float] | None) -> None:
    assert compare(given.encode(), mirrored.encode()) == pytest.approx(found)


def test_an_event_counts_once_as_long_as_it_is_remembered() -> None:
    once = Once()
    assert [once.new(id) for id in ("a", "b", "a")] == [True, True, False]
    for number in range(REMEMBERED):
        once.new(str(number))
    assert once.new("a")
