"""`kubectl recstack status`: how far a rollout is, in one look."""

from typing import Any

from recstack_cli import status
from recstack_cli.text import plain

ROLLOUT = {
    "version": "shop-new",
    "previous": "shop-old",
    "phase": "Canary",
    "step": 2,
    "steps": 3,
    "weight": 25,
    "since": "2026-01-01T00:00:00Z",
    "message": "40 of 100 requests answered so far",
    "candidate": {"requests": 40, "errors": 1, "p99": 9.5, "replies": 39, "clicks": 4},
    "baseline": {"requests": 120, "errors": 0},
}


def _told(**more: Any) -> str:
    stack = {"status": {"observedGeneration": 1} | more}
    found = stack | {"name": "shop", "namespace": "n", "generation": 1, "versions": [], "pods": []}
    return "\n".join(plain(status.tree(found)))


def test_a_rollout_is_told_with_its_figures() -> None:
    text = _told(rollout=ROLLOUT)
    assert "rollout of shop-new: Canary, step 2 of 3, 25 %, since 2026-01-01T00:00:00Z" in text
    assert "40 of 100 requests answered so far" in text
    assert "shop-new: 40 requests, 1 failed, p99 9.5 ms, 4 clicks on 39 replies" in text
    assert "shop-old: 120 requests, 0 failed" in text


def test_without_a_rollout_there_is_no_line_of_it() -> None:
    assert "rollout" not in _told()
