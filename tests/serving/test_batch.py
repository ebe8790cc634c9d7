"""Many requests in one call: order, one version, errors in their place. Real Triton, real Valkey."""

import json
from typing import Any

import numpy as np
import pytest
from recstack_gateway.bodies import batch_limit

from tests.serving.pod import Pod
from tests.serving.sample_package import NOW

PATH = "/v1/recommend:batch"


def _batch(pod: Pod, *requests: Any) -> list[dict[str, Any]]:
    response = pod.client.post(PATH, json={"requests": list(requests)})
    assert response.status_code == 200, response.text
    value = response.json()
    assert value["version"] == "first"
    replies: list[dict[str, Any]] = value["replies"]
    assert len(replies) == len(requests)
    return replies


def test_equals_single_calls_in_order(pod: Pod) -> None:
    users = [1, 50, None, 7, 2**63 - 1, -1, 1]
    requests = [
        {
            "user_id": user,
            "k": place + 1,
            "context": {"device_type": place % 3, "timestamp": NOW + 3600 * place},
        }
        for place, user in enumerate(users)
    ]
    for request, reply in zip(requests, _batch(pod, *requests), strict=True):
        single = pod.recommend(**request).json()
        assert [one["id"] for one in reply["items"]] == [one["id"] for one in single["items"]]
        scores, others = ([one["score"] for one in each["items"]] for each in (reply, single))
        np.testing.assert_allclose(scores, others, atol=1e-5)
        assert reply["degraded"] is False


def test_one_that_is_wrong_does_not_touch_the_others(pod: Pod) -> None:
    wrong = [
        ({"k": 0}, "k: Input should be greater than or equal to 1"),
        ({"user_id": "17"}, "user_id: Input should be a valid integer"),
        ({"user_id": 2**63}, "user_id: Input should be less than"),
        ({"context": {"timestamp": "noon"}}, "context.timestamp: expected a number"),
        ({"plain": True}, "plain: Extra inputs"),
        (3, "Input should be"),
        (None, "Input should be"),
    ]
    good = {"user_id": 5, "k": 3, "context": {"timestamp": NOW}}
    expected = pod.recommend(**good).json()["items"]
    mixed = [part for one, _ in wrong for part in (one, good)]
    replies = _batch(pod, *mixed)
    for (_, words), problem, reply in zip(wrong, replies[::2], replies[1::2], strict=True):
        assert set(problem) == {"type", "title", "status", "detail"}
        assert problem["status"] == 422
        assert words in problem["detail"]
        assert [one["id"] for one in reply["items"]] == [one["id"] for one in expected]


def test_only_wrong_ones_and_none_at_all(pod: Pod) -> None:
    assert [one["status"] for one in _batch(pod, {"k": -1}, [])] == [422, 422]
    assert _batch(pod) == []


def test_seen_items_are_each_users_own(pod: Pod) -> None:
    ask = {"k": 5, "context": {"timestamp": NOW}}
    before = _batch(pod, {"user_id": 31, **ask}, {"user_id": 32, **ask})
    seen = [one["id"] for one in before[0]["items"]]
    events = [{"event_id": f"b-{item}", "user_id": 31, "item_id": item} for item in seen]
    pod.client.post("/v1/events", json={"events": events}).raise_for_status()
    after = _batch(pod, {"user_id": 31, **ask}, {"user_id": 32, **ask})
    assert not {one["id"] for one in after[0]["items"]} & set(seen)
    assert [one["id"] for one in after[1]["items"]] == [one["id"] for one in before[1]["items"]]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 422, "requests: Field required"),
        (b"[]", 422, "object"),
        (b'{"requests": {}}', 422, "requests: Input should be a valid array"),
        (b'{"requests": [], "k": 3}', 422, "k: Extra inputs"),
        (json.dumps({"requests": [{}] * 129}).encode(), 422, "at most 128"),
        (b" " * 2_000_000, 413, "longer than"),
    ],
)
def test_a_call_that_is_wrong_as_a_whole(pod: Pod, content: bytes, status: int, words: str) -> None:
    response = pod.client.post(PATH, content=content)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.json()["detail"]


def test_the_most_that_is_allowed(pod: Pod) -> None:
    assert all(len(one["items"]) == 100 for one in _batch(pod, *({"user_id": n} for n in range(128))))


@pytest.mark.parametrize(("candidates", "most"), [(1, 128), (300, 128), (512, 128), (1000, 65), (10_000, 6)])
def test_the_limit_follows_what_must_be_ranked(candidates: int, most: int) -> None:
    assert batch_limit(candidates) == most


def test_it_is_described_and_measured(pod: Pod) -> None:
    _batch(pod, {})
    document = pod.client.get("/openapi.json").json()
    schema = document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]
    named = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    assert named["properties"]["requests"]["maxItems"] == 128
    assert 'recstack_recommend_batch_seconds_count{status="200"}' in pod.client.get("/metrics").text
