"""What a caller sees: answers, what was seen, bad input. Real Triton, real Valkey."""

import json
import time
from typing import Any

import numpy as np
import pytest

from tests.serving.pod import Pod
from tests.serving.sample_package import NOW, RETAIL, SamplePackage
from tests.serving.valkey_server import ValkeyServer

PACKAGE = SamplePackage(RETAIL, 1)


def _ids(pod: Pod, **body: Any) -> list[int]:
    response = pod.recommend(**body)
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["items"]]


def _see(pod: Pod, user: int, items: list[int], prefix: str = "e", **more: Any) -> dict[str, Any]:
    events = [
        {"event_id": f"{prefix}-{user}-{item}", "user_id": user, "item_id": item, "type": "view"} | more
        for item in items
    ]
    response = pod.client.post("/v1/events", json={"events": events})
    assert response.status_code == 202, response.text
    result: dict[str, Any] = response.json()
    return result


@pytest.mark.parametrize("user", [1, 11, 12345, -3, 2**63 - 1, None])
def test_answers_equal_numpy(pod: Pod, user: int | None) -> None:
    context = {"device_type": 1, "timestamp": NOW}
    reply = pod.recommend(user_id=user, k=20, context=context).json()
    items, scores = PACKAGE.expected(user, context, 300)
    assert reply["version"] == "first"
    assert [one["id"] for one in reply["items"]] == items[:20]
    np.testing.assert_allclose([one["score"] for one in reply["items"]], scores[:20], atol=1e-5)
    assert reply["degraded"] is False
    assert reply["items"][0]["title"] == f"Título {items[0]}"


def test_device_and_time_change_the_order(pod: Pod) -> None:
    def order(**context: int) -> list[int]:
        return _ids(pod, user_id=5, context=context)

    noon = order(device_type=0, timestamp=NOW + 12 * 3600)
    assert noon != order(device_type=1, timestamp=NOW + 12 * 3600)
    assert noon != order(device_type=0, timestamp=NOW)


def test_everything_may_be_left_out(pod: Pod) -> None:
    assert len(_ids(pod)) == 100
    assert len(pod.client.post("/v1/recommend").json()["items"]) == 100


def test_k_is_clamped(pod: Pod) -> None:
    assert len(_ids(pod, k=10**18)) == 100


@pytest.mark.parametrize("timestamp", [0, 4_102_444_800])
def test_any_year(pod: Pod, timestamp: int) -> None:
    assert len(_ids(pod, user_id=1, context={"timestamp": timestamp})) == 100


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b'{"user_id": "17"}', 422, "user_id: Input should be a valid integer"),
        (b'{"user_id": 1.5}', 422, "user_id"),
        (b'{"user_id": true}', 422, "user_id"),
        (b'{"user_id": 9223372036854775808}', 422, "less than"),
        (b'{"user_id": 1%s}' % (b"0" * 5000), 422, "out of range"),
        (b'{"k": 0}', 422, "k: Input should be greater than or equal to 1"),
        (b'{"k": -5}', 422, "k:"),
        (b'{"k": NaN}', 422, "k:"),
        (b'{"context": 3}', 422, "context"),
        (b'{"context": {"device_type": [1]}}', 422, "context.device_type"),
        (b'{"context": {"timestamp": "noon"}}', 422, "context.timestamp: expected a number"),
        (b'{"context": {"timestamp": NaN}}', 422, "context.timestamp"),
        (b'{"context": {"timestamp": Infinity}}', 422, "context.timestamp"),
        (b'{"context": {"timestamp": 1704067200000}}', 422, "seconds since 1970"),
        (b'{"context": {"device_type": 99999999999999999999}}', 422, "64-bit"),
        (b'{"context": {"device_type": 1%s}}' % (b"0" * 3000), 422, "64-bit"),
        (b'{"candidates": 5}', 422, "candidates"),
        (b'{"plain": true}', 422, "plain"),
        (b"[]", 422, "object"),
        (b"{", 422, "JSON"),
        (b"\xff\xfe", 422, ""),
        (b'{"context": {"a": "\\ud800"}}', 422, ""),
        (b" " * 10_000_000, 413, "longer than"),
        (b"[" * 100_000, 422, ""),
    ],
)
def test_bad_input_is_a_problem(pod: Pod, content: bytes, status: int, words: str) -> None:
    response = pod.client.post("/v1/recommend", content=content)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert words in problem["detail"]
    assert len(_ids(pod)) == 100


@pytest.mark.parametrize("value", ["nowhere", "", -7, 2**62, 1e300, None])
def test_unknown_values_are_answered(pod: Pod, value: object) -> None:
    assert len(_ids(pod, user_id=1, context={"device_type": value, "no_such_column": value})) == 100


def test_nan_category_is_unknown(pod: Pod) -> None:
    response = pod.client.post("/v1/recommend", content=b'{"context": {"device_type": NaN}, "user_id": 1}')
    assert len(response.json()["items"]) == 100


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/recommend", 405),
        ("DELETE", "/v1/users/x/state", 422),
        ("DELETE", "/v1/users/99999999999999999999/state", 422),
    ],
)
def test_paths_are_problems_too(pod: Pod, method: str, path: str, status: int) -> None:
    response = pod.client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status


def test_a_seen_item_is_gone_at_once_until_forgotten(pod: Pod) -> None:
    before = _ids(pod, user_id=20)
    assert _see(pod, 20, before[:50]) == {"accepted": 50, "new": 50, "marked": 50}
    after = _ids(pod, user_id=20)
    assert len(after) == 100
    assert not set(after) & set(before[:50])
    assert _ids(pod, user_id=21)[:1] != []
    assert pod.client.delete("/v1/users/20/state").status_code == 204
    assert _ids(pod, user_id=20)[:50] == before[:50]
    assert pod.client.delete("/v1/users/20/state").status_code == 204


def test_what_is_kept_of_a_user_is_told_and_gone(pod: Pod) -> None:
    _see(pod, 29, [1001, 1002])
    state = pod.client.get("/v1/users/29/state").json()
    assert (state["seen_filters"], state["waiting_events"], state["recent"]) == (1, 2, [])
    assert pod.client.delete("/v1/users/29/state").status_code == 204
    nothing: dict[str, Any] = {"recent": [], "seen_filters": 0, "waiting_events": 0}
    nothing |= {"behaviour_events": 0, "behaviour_features": {}, "offline_waiting": 0}
    assert pod.client.get("/v1/users/29/state").json() == nothing
    assert pod.client.get("/v1/users/nobody/state").status_code == 422


def test_all_items_seen_is_an_empty_answer(pod: Pod) -> None:
    _see(pod, 22, list(range(1000, 1400)), timestamp=time.time())
    assert _ids(pod, user_id=22) == []


def test_an_event_counts_once(pod: Pod) -> None:
    assert _see(pod, 23, [1001, 1001, 1002])["marked"] == 2
    assert _see(pod, 23, [1001])["marked"] == 0
    assert _see(pod, 23, [1001], prefix="other")["marked"] == 1


def test_old_events_mark_nothing_and_future_ones_count_as_now(pod: Pod) -> None:
    before = _ids(pod, user_id=24)
    _see(pod, 24, before[:3], timestamp=0)
    assert _ids(pod, user_id=24) == before
    _see(pod, 24, before[3:6], timestamp=4_102_444_800)
    assert not set(before[3:6]) & set(_ids(pod, user_id=24))


@pytest.mark.parametrize(
    "event",
    [
        {"event_id": "", "item_id": 1},
        {"event_id": "a"},
        {"event_id": "a", "item_id": "1"},
        {"event_id": "a", "item_id": 2**63},
        {"event_id": "a", "item_id": 1, "timestamp": -1},
        {"event_id": "a", "item_id": 1, "timestamp": float("nan")},
        {"event_id": "a", "item_id": 1, "poison": True},
        {"event_id": "\ud800", "item_id": 1},
        None,
    ],
)
def test_a_poisoned_event_is_a_problem(pod: Pod, event: object) -> None:
    response = pod.client.post("/v1/events", content=json.dumps({"events": [event]}).encode())
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_anonymous_events_and_none_at_all(pod: Pod) -> None:
    events = [{"event_id": "anonymous", "user_id": None, "item_id": 5}]
    assert pod.client.post("/v1/events", json={"events": events}).json() == {
        "accepted": 1,
        "new": 1,
        "marked": 0,
    }
    assert pod.client.post("/v1/events", json={"events": []}).json() == {"accepted": 0, "new": 0, "marked": 0}


def test_valkey_down_degrades_and_recovers_by_itself(pod: Pod, valkey: ValkeyServer) -> None:
    valkey.stop()
    try:
        start = time.monotonic()
        for _ in range(20):
            reply = pod.recommend(user_id=30).json()
            assert reply["degraded"] is True
            assert len(reply["items"]) == 100
        assert time.monotonic() - start < 2
        assert pod.recommend().json()["degraded"] is False
        response = pod.client.post(
            "/v1/events", json={"events": [{"event_id": "x", "user_id": 30, "item_id": 1}]}
        )
        assert response.status_code == 503
        assert "send the events again" in response.json()["detail"]
        assert pod.client.delete("/v1/users/30/state").status_code == 503
    finally:
        valkey.start()
    pod.wait("recovered", lambda: pod.recommend(user_id=30).json()["degraded"] is False, 5)
    top = _ids(pod, user_id=30)[0]
    _see(pod, 30, [top], prefix="after")
    assert top not in _ids(pod, user_id=30)


def test_openapi_and_metrics(pod: Pod) -> None:
    paths = pod.client.get("/openapi.json").json()["paths"]
    assert "requestBody" in paths["/v1/recommend"]["post"]
    text = pod.client.get("/metrics").text
    assert 'recstack_recommend_seconds_count{status="200"}' in text
    assert 'recstack_version_state{state="Proven",version="first"} 1.0' in text


def test_explain_through_the_pod(pod: Pod) -> None:
    plain = pod.recommend(user_id=40, k=5, context={"timestamp": NOW}).json()
    _see(pod, 40, [one["id"] for one in plain["items"]])
    reply = pod.recommend(user_id=40, k=5, context={"timestamp": NOW}, explain=True).json()
    assert "explain" not in plain
    counts = reply["explain"]["candidates"]
    assert (counts["retrieved"], counts["seen_filtered"], counts["ranked"]) == (400, 5, 300)
    assert 0 < sum(reply["explain"]["stages"].values()) < 2000
    assert all(one["source"] == "retrieval" and one["source_rank"] >= 1 for one in reply["items"])
    assert pod.recommend(explain=1).status_code == 422


def test_schema_and_catalog_of_the_live_version(pod: Pod) -> None:
    schema = pod.client.get("/v1/schema").json()
    assert (schema["version"], schema["seen_filter"]) == ("first", True)
    ids = [one["id"] for one in pod.recommend(k=3).json()["items"]]
    items = pod.client.get("/v1/items", params={"id": ids}).json()["items"]
    assert [one["id"] for one in items] == ids
    assert all(one["features"]["category_l1"] in "abc" for one in items)
