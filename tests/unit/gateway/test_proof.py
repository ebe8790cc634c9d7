"""The comparison of a model's answers with training's."""

import json
from pathlib import Path

import pytest
from recstack_gateway.errors import Refused
from recstack_gateway.proof import Probe, prove, read_probes

PROBE = Probe(user_id=1, context={"device": 2}, candidates=2, items=[5, 3], scores=[0.9, 0.8])


async def _ask(*items: tuple[int, float], content: bytes = b"") -> None:
    async def infer(request: bytes) -> bytes:
        asked = json.loads(request)
        assert asked == {"user_id": 1, "context": {"device": 2}, "candidates": 2, "k": 2, "plain": True}
        return (
            content or json.dumps({"items": [{"id": id_, "score": score} for id_, score in items]}).encode()
        )

    await prove([PROBE], infer)


async def test_equal_to_a_thousandth_in_any_order_of_equals() -> None:
    await _ask((5, 0.9005), (3, 0.7995))
    await _ask((3, 0.8), (5, 0.9))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([(5, 0.9)], "1 of 2 are missing, first \\[3\\]"),
        ([(5, 0.9), (4, 0.8)], "1 of 2 are missing"),
        ([(5, 0.9), (3, 0.8), (4, 0.1)], "0 of 2 are missing"),
        ([(5, 0.9), (3, 0.802)], "differ from training's by 0.002"),
        ([(5, 0.9), (3, float("nan"))], "by nan"),
    ],
)
async def test_anything_else_is_refused(items: list[tuple[int, float]], words: str) -> None:
    with pytest.raises(Refused, match=words):
        await _ask(*items)


@pytest.mark.parametrize("content", [b'{"problem": "no"}', b"x"])
async def test_no_items_at_all(content: bytes) -> None:
    with pytest.raises(Refused, match="the probe of user 1 got"):
        await _ask(content=content)


@pytest.mark.parametrize("content", ["", "[]", "{}", '[{"user_id": 1}]'])
def test_a_package_without_probes_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "probe.json").write_text(content)
    with pytest.raises(Refused, match=r"probe.json"):
        read_probes(tmp_path)
