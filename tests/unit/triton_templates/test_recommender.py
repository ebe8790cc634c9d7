"""The fused graph on sample packages of two schemas, against plain NumPy."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recstack_triton_templates import package
from recstack_triton_templates.graph import FUSED
from recstack_triton_templates.online import Known
from recstack_triton_templates.recommender import Recommender
from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.request import Request

from tests.serving.sample_package import FILMS, ILLUSTRATED, NOW, RETAIL, SamplePackage, Schema


class Store:
    """Seen items in memory; None: down."""

    def __init__(self, seen: set[int] | None) -> None:
        self.seen = seen

    def fetch(self, requests: Sequence[Request]) -> list[Known]:
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Known:
        if request.user_id is None or request.plain:
            return Known()
        if self.seen is None:
            return Known(degraded=True)
        ids = np.array(sorted(self.seen))
        return Known(seen=(lambda asked: np.isin(asked, ids)) if len(ids) else None)


Make = Callable[..., Recommender]
SCHEMAS = {"retail": RETAIL, "films": FILMS, "illustrated": ILLUSTRATED}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("artifacts")
    result = {}
    for name, schema in SCHEMAS.items():
        digest = SamplePackage(schema, 3).write(root, name)
        result[name] = root / "packages" / digest.removeprefix("sha256:")
    return result


@pytest.fixture
def make(folders: dict[str, Path]) -> Make:
    def build(schema: str = "retail", seen: set[int] | None = None, **settings: Any) -> Recommender:
        store = Store(set() if seen is None else seen)
        return Recommender(
            package.load(folders[schema]), ServingSettings(**settings), store, lambda: float(NOW)
        )

    return build


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
@pytest.mark.parametrize("user", [1, 11, 50, 51, 0, -1, 2**62, None])
def test_equals_numpy(make: Make, name: str, schema: Schema, user: int | None) -> None:
    context = {"device_type": 2, "timestamp": NOW + 5 * 3600}
    reply = make(name).recommend(Request(user, context, k=40, candidates=40, plain=True))
    items, scores = SamplePackage(schema, 3).expected(user, context, 40)
    assert [one["id"] for one in reply.items] == items
    np.testing.assert_allclose([one["score"] for one in reply.items], scores, atol=1e-5)


def test_context_changes_the_order(make: Make) -> None:
    recommender = make()

    def order(**context: int) -> list[int]:
        return [one["id"] for one in recommender.recommend(Request(5, context)).items]

    noon = order(device_type=0, timestamp=NOW + 12 * 3600)
    assert noon != order(device_type=1, timestamp=NOW + 12 * 3600)
    assert noon != order(device_type=0, timestamp=NOW)
    assert order() == order(timestamp=NOW)
    assert order(device_type=77) == order()


def test_null_context_takes_the_default(make: Make) -> None:
    recommender = make()
    assert recommender.recommend(Request(5, {"device_type": None})) == recommender.recommend(Request(5))
    assert recommender.recommend(Request(5, {"device_type": 1.0})) == recommender.recommend(
        Request(5, {"device_type": 1})
    )
    assert recommender.recommend(Request(5, {"unheard_of": 1})) == recommender.recommend(Request(5))


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"timestamp": "noon"}, "expected a number"),
        ({"timestamp": float("nan")}, "seconds since 1970"),
        ({"timestamp": 1_704_067_200_000}, "seconds since 1970"),
        ({"timestamp": 10**400}, "too large"),
        ({"device_type": 2**70}, "64-bit"),
        ({"device_type": 2**63}, "64-bit"),
    ],
)
def test_problem(make: Make, context: dict[str, Any], words: str) -> None:
    reply = json.loads(make().answer(json.dumps({"context": context}).encode()))
    assert words in reply["problem"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"nonsense": 1}', b"3"])
def test_not_a_request(make: Make, content: bytes) -> None:
    assert "not as expected" in json.loads(make().answer(content))["problem"]


@pytest.mark.parametrize("timestamp", [0, -1, 4_102_444_800, 0.5])
def test_any_time(make: Make, timestamp: float) -> None:
    assert len(make().recommend(Request(1, {"timestamp": timestamp}, k=5)).items) == 5


def test_k_and_candidates_are_clamped(make: Make) -> None:
    assert len(make().recommend(Request(1, k=10**9, candidates=10**9)).items) == RETAIL.items
    assert len(make(top_k=7).recommend(Request(1)).items) == 7


def test_seen_items_leave_and_others_come(make: Make) -> None:
    wanted = {one["id"] for one in make(candidates=50).recommend(Request(1, k=50)).items}
    reply = make(candidates=50, seen=wanted).recommend(Request(1, k=50))
    ids = {one["id"] for one in reply.items}
    assert len(ids) == 50
    assert not ids & wanted


def test_over_fetch_grows_until_the_catalog_ends(make: Make) -> None:
    every = set(range(1000, 1400))
    assert make(seen=every).recommend(Request(1)).items == []
    left = make(seen=every - {1003, 1004}).recommend(Request(1)).items
    assert {one["id"] for one in left} == {1003, 1004}


def test_plain_and_anonymous_are_not_filtered(make: Make) -> None:
    every = set(range(1000, 1400))
    assert make(seen=every).recommend(Request(1, plain=True)).items
    assert make(seen=every).recommend(Request(None)).items


def test_store_down_degrades(folders: dict[str, Path]) -> None:
    recommender = Recommender(
        package.load(folders["retail"]), ServingSettings(), Store(None), lambda: float(NOW)
    )
    reply = recommender.recommend(Request(1))
    assert reply.degraded
    assert len(reply.items) == 100
    assert not recommender.recommend(Request(None)).degraded


def test_diversity_is_seeded_and_differs(make: Make) -> None:
    recommender = make(diversity=True, temperature=1.0)
    first, again = (recommender.recommend(Request(1, seed=4)).items for _ in range(2))
    assert first == again
    assert first != recommender.recommend(Request(1, seed=5)).items
    assert len({one["id"] for one in first}) == 100


def test_titles_and_json(make: Make) -> None:
    reply = json.loads(make().answer(b'{"k": 400, "candidates": 400}'))
    titles = {one["id"]: one["title"] for one in reply["items"]}
    assert titles[1000] is None
    assert titles[1001] == "Título 1001"
    assert reply["degraded"] is False


def test_parts_that_disagree_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for path in folders["retail"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "titles.json").write_text("[]")
    with pytest.raises(ValueError, match="disagree about the number of items"):
        package.load(tmp_path)


@pytest.mark.parametrize("seen", [0, 40])
def test_explain_tells_how_without_changing_what(make: Make, seen: int) -> None:
    wanted = [one["id"] for one in make(candidates=50).recommend(Request(1, k=50)).items]
    recommender = make(candidates=50, seen=set(wanted[:seen]))
    plain, told = (recommender.recommend(Request(1, k=7, explain=explain)) for explain in (False, True))
    assert plain.explain is None
    assert [(one["id"], one["score"]) for one in told.items] == [
        (one["id"], one["score"]) for one in plain.items
    ]
    assert told.explain is not None
    stages = told.explain["stages"]
    assert list(stages) == list(FUSED)
    assert all(ms >= 0 for ms in stages.values())
    assert told.explain["candidates"] == {
        "catalog": RETAIL.items,
        "retrieved": 100,
        "seen_filtered": seen,
        "trending": 0,
        "ranked": 50,
        "returned": 7,
    }


def test_explain_tells_where_an_item_came_from(make: Make) -> None:
    items = make(candidates=20).recommend(Request(1, explain=True)).items
    assert {one["source"] for one in items} == {"retrieval"}
    assert sorted(one["source_rank"] for one in items) == list(range(1, 21))
    best = make(candidates=1).recommend(Request(1)).items[0]["id"]
    assert next(one["id"] for one in items if one["source_rank"] == 1) == best


def test_explain_counts_the_last_round_of_an_over_fetch(make: Make) -> None:
    left = {1003, 1004}
    told = make(seen=set(range(1000, 1400)) - left, candidates=10).recommend(Request(1, explain=True))
    assert told.explain is not None
    counts = told.explain["candidates"]
    assert (counts["retrieved"], counts["seen_filtered"], counts["ranked"]) == (400, 398, 2)


def test_explain_in_json_leaves_the_end_as_it_is(make: Make) -> None:
    content = make().answer(b'{"k": 1, "explain": true}')
    assert content.endswith(b'"degraded":false}')
    assert set(json.loads(content)) == {"items", "explain", "degraded"}
    assert b"explain" not in make().answer(b'{"k": 1}')
    assert b"source" not in make().answer(b'{"k": 1, "explain": false}')


def test_calls_that_wait_together_are_answered_as_each_by_itself(make: Make) -> None:
    recommender = make(candidates=20)
    calls = [b'{"user_id": 1}', b'{"user_id": 11, "k": 2}\n{"k": 0}', b"no JSON", b'{"user_id": 50, "k": 3}']
    run = recommender.run(calls)
    assert run.replies == [recommender.answer(one) for one in calls]
    assert run.stages.shape == (len(FUSED),)
    assert run.stages[FUSED.index("dlrm_ranking")] > 0


def test_a_request_of_a_common_run_is_explained_by_itself(make: Make) -> None:
    lines = make().answer(b'{"user_id": 1, "k": 1}\n{"user_id": 1, "k": 1, "explain": true}').split(b"\n")
    plain, told = (json.loads(line) for line in lines)
    assert "explain" not in plain
    assert set(told["explain"]["stages"]) <= set(FUSED)
    assert [one["id"] for one in told["items"]] == [one["id"] for one in plain["items"]]
