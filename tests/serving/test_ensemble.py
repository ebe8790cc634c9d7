"""The two graphs beside each other in one real Triton: same package, same request, same seed, same answer."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import valkey as valkey_client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recstack_gateway.triton import GrpcTriton
from recstack_triton_templates.graph import STAGES, part_name
from recstack_triton_templates.trending_keys import TrendingKeys

from tests.serving.api_server import ApiServer
from tests.serving.conftest import Packages
from tests.serving.pod import Pod
from tests.serving.sample_package import FILMS, ILLUSTRATED, NOW, RETAIL, SamplePackage
from tests.serving.valkey_server import ValkeyServer

SAMPLED = {"diversity": True, "temperature": 0.1, "max_per_value_feature": "category_l1", "max_per_value": 7}
TRENDING = {
    "trending_candidates": 30,
    "trending_cold_candidates": 80,
    "trending_by": {"gender": "item_gender"},
}
LISTS = TrendingKeys("shop/retail")
TREND = {
    LISTS.everywhere(): [1399, 1398, 7, *range(1000, 1100, 2)],
    LISTS.among("item_gender", "F"): [1301, 1303, 1398],
    LISTS.among("item_gender", "M"): [1302],
}
PAIRS = ("sorted", "sampled", "illustrated")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, packages: Packages, valkey: ValkeyServer) -> Iterator[Pod]:
    """A pod with two packages in either graph; ``sorted-ensemble`` answers.

    ``sampled`` has an IVF index and trending items.
    """
    api = ApiServer()
    api.start()
    made = Pod(tmp_path_factory.mktemp("pod"), api, valkey.url)
    digests = (packages.first, packages.ivf, packages.illustrated)
    versions = [
        made.add_version(f"{pair}-{graph}", digest, packages.artifacts, graph=graph, **more)
        for pair, digest, more in zip(PAIRS, digests, ({}, SAMPLED | TRENDING, {}), strict=True)
        for graph in ("ensemble", "fused")
    ]
    try:
        made.publish("sorted-ensemble", *versions)
        made.start("triton_server")
        made.start("main")
        made.wait("proven", lambda: set(made.states().values()) == {"Proven"}, 120)
        events = [
            {"event_id": f"{user}-{item}", "user_id": user, "item_id": item}
            for user, items in {3: range(1000, 1040), 4: range(1000, 1390), 5: range(1000, 1400)}.items()
            for item in items
        ]
        for name, items in TREND.items():
            weights = {str(item): -rank for rank, item in enumerate(items)}
            with valkey_client.Valkey.from_url(valkey.url) as client:
                client.zadd(name, weights)
        made.client.post("/v1/events", json={"events": events}).raise_for_status()
        yield made
    finally:
        made.stop()
        api.stop()


def _infer(pod: Pod, models: list[str], content: bytes) -> list[bytes]:
    async def ask() -> list[bytes]:
        triton = GrpcTriton(f"127.0.0.1:{pod.grpc_port}")
        try:
            return [await triton.infer(f"recommender--{model}", content) for model in models]
        finally:
            await triton.close()

    return asyncio.run(ask())


def _same(one: dict[str, Any], other: dict[str, Any]) -> None:
    if "problem" in one:
        assert one == other
        return
    assert [item["id"] for item in one["items"]] == [item["id"] for item in other["items"]]
    assert [item["title"] for item in one["items"]] == [item["title"] for item in other["items"]]
    scores, others = ([item["score"] for item in reply["items"]] for reply in (one, other))
    np.testing.assert_allclose(scores, others, atol=1e-5)
    assert one["degraded"] == other["degraded"]
    explained, expected = (
        (
            reply.get("explain", {}).get("candidates"),
            [(item.get("source"), item.get("source_rank")) for item in reply["items"]],
        )
        for reply in (one, other)
    )
    assert explained == expected


REQUESTS = st.fixed_dictionaries(
    {"user_id": st.one_of(st.none(), st.integers(-2, 55), st.integers(-(2**63), 2**63 - 1))},
    optional={
        "k": st.integers(1, 500),
        "candidates": st.integers(1, 450),
        "plain": st.booleans(),
        "explain": st.booleans(),
        "seed": st.integers(0, 2**63 - 1),
        "context": st.dictionaries(
            st.sampled_from(["device_type", "timestamp", "no_such_column"]),
            st.one_of(
                st.none(), st.integers(0, 3), st.integers(-(2**65), 2**65), st.floats(), st.text(max_size=5)
            ),
        ),
    },
)


@given(st.lists(REQUESTS, min_size=1, max_size=4), st.sampled_from(PAIRS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_graphs_answer_the_same(both: Pod, requests: list[dict[str, Any]], pair: str) -> None:
    if pair == "sampled":
        requests = [{"seed": 11, **one} for one in requests]
    requests = [{**one, "context": {"timestamp": NOW, **one.get("context", {})}} for one in requests]
    content = "\n".join(map(json.dumps, requests)).encode()
    ensemble, fused = _infer(both, [f"{pair}-ensemble", f"{pair}-fused"], content)
    replies = [[json.loads(line) for line in found.split(b"\n")] for found in (ensemble, fused)]
    assert len(replies[0]) == len(replies[1]) == len(requests)
    for one, other in zip(*replies, strict=True):
        _same(one, other)


def _explained(pod: Pod, graph: str, **asked: Any) -> tuple[dict[str, int], Counter[str]]:
    content = json.dumps({"k": 100, "candidates": 100, "seed": 1, "explain": True} | asked).encode()
    reply = json.loads(_infer(pod, [f"sampled-{graph}"], content)[0])
    return reply["explain"]["candidates"], Counter(item["source"] for item in reply["items"])


@pytest.mark.parametrize("graph", ["ensemble", "fused"])
def test_trending_items_are_among_the_candidates(both: Pod, graph: str) -> None:
    known, sources = _explained(both, graph, user_id=17)
    assert (known["ranked"], known["trending"]) == (100, 30)
    assert set(sources) <= {"retrieval", "trending", "both"}
    for cold in ({}, {"user_id": 99_999}):
        counts, _ = _explained(both, graph, **cold)
        assert counts["trending"] == 52, "all there are: one of the list is no item"
    counts, _ = _explained(both, graph, user_id=4)  # who saw all but 1390 to 1399
    assert counts["trending"] <= 2
    plain, sources = _explained(both, graph, user_id=17, plain=True)
    assert plain["trending"] == 0
    assert sources == {"retrieval": 100}


@pytest.mark.parametrize(("user", "left"), [(3, 360), (4, 10), (5, 0)])
def test_seen_items_leave_in_both(both: Pod, user: int, left: int) -> None:
    content = json.dumps({"user_id": user, "k": 400, "candidates": 400}).encode()
    for reply in _infer(both, ["sorted-ensemble", "sorted-fused"], content):
        items = {one["id"] for one in json.loads(reply)["items"]}
        assert left - len(items) in range(8)  # false positives of the filter
        assert not items & set(range(1000, 1400 - left))


def test_the_gateway_answers_from_either(both: Pod) -> None:
    context = {"device_type": 1, "timestamp": NOW}
    items, scores = SamplePackage(RETAIL, 1).expected(17, context, 300)
    reply = both.recommend(user_id=17, k=20, context=context).json()
    assert reply["version"] == "sorted-ensemble"
    assert [one["id"] for one in reply["items"]] == items[:20]
    np.testing.assert_allclose([one["score"] for one in reply["items"]], scores[:20], atol=1e-5)
    assert both.recommend(context={"timestamp": "noon"}).status_code == 422


def test_embeddings_take_part_in_both(both: Pod) -> None:
    """Against plain arithmetic; shifted by one row they would give other items."""
    context = {"device_type": 1, "timestamp": NOW}
    content = json.dumps({"user_id": 17, "k": 300, "plain": True, "context": context}).encode()
    items, scores = SamplePackage(ILLUSTRATED, 4).expected(17, context, 300)
    for reply in _infer(both, ["illustrated-ensemble", "illustrated-fused"], content):
        found = json.loads(reply)["items"]
        assert [one["id"] for one in found] == items
        np.testing.assert_allclose([one["score"] for one in found], scores, atol=1e-5)


def test_a_batch_through_the_ensemble(both: Pod) -> None:
    context = {"timestamp": NOW}
    requests = [{"user_id": user, "k": 7, "context": context} for user in (3, 17, 99_999)]
    bad = {"context": {"timestamp": "noon"}}
    replies = both.client.post("/v1/recommend:batch", json={"requests": [*requests, bad]}).json()["replies"]
    for one, reply in zip(requests, replies[:3], strict=True):
        _same(reply, both.recommend(**one).json())
    assert replies[3]["status"] == 422


def test_a_cap_holds_in_both(both: Pod) -> None:
    content = json.dumps({"user_id": 9, "k": 100, "seed": 1}).encode()
    values = SamplePackage(RETAIL, 1).items["category_l1"]
    for reply in _infer(both, ["sampled-ensemble", "sampled-fused"], content):
        rows = [one["id"] - 1000 for one in json.loads(reply)["items"]]
        assert np.bincount(values[rows]).max() == 7


def test_a_seed_repeats_and_none_does_not(both: Pod) -> None:
    for model in ("sampled-ensemble", "sampled-fused"):
        seeded = [_infer(both, [model], b'{"user_id": 9, "seed": 5}')[0] for _ in range(2)]
        free = [_infer(both, [model], b'{"user_id": 9}')[0] for _ in range(2)]
        assert seeded[0] == seeded[1]
        assert free[0] != free[1]


def test_valkey_down_degrades_the_ensemble(both: Pod, valkey: ValkeyServer) -> None:
    valkey.stop()
    try:
        assert both.recommend(user_id=3).json()["degraded"] is True
        for model in ("sampled-ensemble", "sampled-fused"):
            time.sleep(1.1)  # lists are kept for a second
            reply = json.loads(_infer(both, [model], b'{"explain": true}')[0])
            assert reply["degraded"] is True
            assert reply["explain"]["candidates"]["trending"] == 0
        assert both.recommend().json()["degraded"] is False
    finally:
        valkey.start()
    both.wait("recovered", lambda: both.recommend(user_id=3).json()["degraded"] is False, 5)


def test_a_dead_stage_is_noticed_and_all_are_loaded_again(both: Pod) -> None:
    assert both.count_stubs() == len(PAIRS) * (len(STAGES) + 1)
    assert both.kill_stubs() == len(PAIRS) * (len(STAGES) + 1)
    both.wait("mended", lambda: both.recommend(user_id=17).status_code == 200, 120)
    both.wait("all proven", lambda: set(both.states().values()) == {"Proven"}, 60)


def test_the_parts_go_with_the_ensemble(both: Pod, packages: Packages) -> None:
    """Last: films, whose context has no feature, takes over; of the others nothing stays loaded."""
    films = both.add_version("films", packages.films, packages.artifacts, graph="ensemble")
    both.publish("films", films)
    both.wait("films answer", lambda: both.recommend(user_id=17).json().get("version") == "films", 60)
    items, _ = SamplePackage(FILMS, 3).expected(17, {}, 300)
    assert [one["id"] for one in both.recommend(user_id=17, k=10).json()["items"]] == items[:10]
    expected = {"recommender--films"} | {part_name(stage, "films") for stage in STAGES}
    both.wait("unloaded", lambda: _loaded(both) == expected, 30)


def _loaded(pod: Pod) -> set[str]:
    async def ask() -> set[str]:
        triton = GrpcTriton(f"127.0.0.1:{pod.grpc_port}")
        try:
            return await triton.loaded()
        finally:
            await triton.close()

    return asyncio.run(ask())
