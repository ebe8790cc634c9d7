from typing import Any

from recstack_demo.progress import Line, changes, is_true, lines


def stack(generation: int, observed: int, status: str) -> dict[str, Any]:
    return {
        "kind": "RecommenderStack",
        "metadata": {"name": "s", "generation": generation},
        "status": {
            "conditions": [
                {
                    "type": "Ready",
                    "status": status,
                    "reason": "R",
                    "message": "m",
                    "observedGeneration": observed,
                }
            ]
        },
    }


def test_a_condition_of_an_older_generation_does_not_count() -> None:
    assert is_true(stack(2, 2, "True"), "Ready")
    assert not is_true(stack(2, 1, "True"), "Ready")
    assert not is_true(None, "Ready")


def test_only_changes_of_state_are_told() -> None:
    before, after = lines([stack(1, 1, "False")]), lines([stack(1, 1, "True")])
    assert changes(before, before) == []
    assert changes(before, after) == [Line("RecommenderStack/s Ready", "True", "R: m")]
