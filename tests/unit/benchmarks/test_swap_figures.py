"""Figures of swaps from what the load saw."""

from benchmarks.swap.figures import Kill, Swap, killing, summary

SWAPS = [Swap(asked=1010.0, done=1014.0, version="b"), Swap(asked=1020.0, done=1025.0, version="a")]


def _seen(*requests: tuple[float, float, int, str]) -> dict[str, object]:
    return {"began": 1000.0, "requests": list(requests), "errors": {}, "alike": 0}


def test_latency_in_and_out_of_swaps() -> None:
    found = summary(_seen((1, 10, 0, "a"), (11, 15, 0, "b"), (16, 20, 0, "b"), (22, 30, 0, "a")), SWAPS)
    assert found["requests"] == 4
    assert found["p99Ms"] == {"swapping": 30, "resting": 20}
    assert found["p99Ratio"] == 1.5


def test_a_flip_lasts_from_the_first_new_answer_to_the_last_old_one() -> None:
    seen = _seen((11, 1, 0, "a"), (12.0, 1, 0, "b"), (12.4, 1, 0, "a"), (13, 1, 0, "b"), (21, 1, 0, "a"))
    found = summary(seen, SWAPS)
    assert found["flipSeconds"] == {"p50": 0.4, "max": 0.4}
    assert found["movedSeconds"] == {"p50": 2.4, "max": 2.4}


def test_failures_and_mixes_are_counted_apart() -> None:
    found = summary(_seen((1, 10, 1, ""), (2, 10, 2, "a"), (12, 10, 0, "b")), SWAPS)
    assert (found["failed"], found["mixed"]) == (1, 1)


def test_the_first_seconds_are_no_rest() -> None:
    found = summary(_seen((1, 90, 0, "a"), (5, 10, 0, "a"), (11, 15, 0, "b")), SWAPS, warm=4)
    assert found["p99Ms"] == {"swapping": 15, "resting": 10}


def test_only_what_a_killed_pod_cut_off_is_its_own() -> None:
    kills = [Kill(1010.0, "operator", serving=False), Kill(1020.0, "serving pod", serving=True)]
    seen = _seen((10.5, 9, 3, ""), (20.5, 9, 3, ""), (20.5, 9, 1, ""), (40, 9, 3, ""), (41, 9, 0, "a"))
    found = killing(seen, kills)
    assert (found["failedBeyondInFlight"], found["inFlightInKilledPods"]) == (3, 1)
