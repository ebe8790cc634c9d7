"""Online features as a caller sees them, in both graphs: real Triton, real Valkey, rows in Feast's format."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import valkey
from recstack_gateway.triton import GrpcTriton
from recstack_triton_templates import feast_keys, feast_names

from tests.serving.api_server import ApiServer
from tests.serving.conftest import Packages
from tests.serving.pod import Pod
from tests.serving.sample_package import NOW, RETAIL, SamplePackage
from tests.serving.valkey_server import ValkeyServer

PROJECT = feast_names.project("shop", "retail")
SAMPLE = SamplePackage(RETAIL, 1)
CONTEXT = {"device_type": 1, "timestamp": NOW}
GRAPHS = ("fused", "ensemble")
FEAST: dict[str, Any] = {"feast_project": PROJECT, "feast_ttl_seconds": 3600, "seen_filter": True}
CAPPED = {"max_per_value_feature": "category_l1", "max_per_value": 4}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, packages: Packages, valkey: ValkeyServer) -> Iterator[Pod]:
    api = ApiServer()
    api.start()
    made = Pod(tmp_path_factory.mktemp("pod"), api, valkey.url)
    versions = [
        made.add_version(graph, packages.first, packages.artifacts, graph=graph, **FEAST, **CAPPED)
        for graph in GRAPHS
    ]
    try:
        made.publish("fused", *versions)
        made.start("triton_server")
        made.start("main")
        made.wait("proven", lambda: set(made.states().values()) == {"Proven"}, 120)
        yield made
    finally:
        made.stop()
        api.stop()


def _ask(pod: Pod, **request: Any) -> list[dict[str, Any]]:
    """The replies of both graphs, ranked order without cap."""

    async def ask() -> list[bytes]:
        triton = GrpcTriton(f"127.0.0.1:{pod.grpc_port}")
        content = json.dumps({"context": CONTEXT, "seed": 3} | request).encode()
        try:
            return [await triton.infer(f"recommender--{graph}", content) for graph in GRAPHS]
        finally:
            await triton.close()

    return [json.loads(one) for one in asyncio.run(ask())]


def _write(server: ValkeyServer, view: str, key: str, entity: int, ago: float = 0, **values: Any) -> None:
    fields = {feast_keys.field(view, name): feast_keys.encode(value) for name, value in values.items()}
    fields[feast_keys.timestamp_field(view)] = feast_keys.encode_time(time.time() - ago)
    with valkey.Valkey.from_url(server.url) as client:
        client.hset(feast_keys.entity_key(PROJECT, key, entity), mapping=fields)


def _scores(reply: dict[str, Any]) -> dict[int, float]:
    return {one["id"]: one["score"] for one in reply["items"]}


def _expected(user: int | None, raw: dict[str, Any] | None = None) -> dict[int, float]:
    """Scores of all candidates, of which a reply has some."""
    return dict(zip(*SAMPLE.expected(user, CONTEXT, 300, raw), strict=True))


def _agree(reply: dict[str, Any], expected: dict[int, float]) -> None:
    found = _scores(reply)
    assert found
    assert set(found) <= set(expected)
    np.testing.assert_allclose(list(found.values()), [expected[one] for one in found], atol=1e-5)


@pytest.mark.parametrize(
    ("user", "raw"),
    [
        (5, {"gender": "F", "age": 66.5}),
        (6, {"gender": None, "age": None}),
        (77, {"gender": "M", "age": 20}),
        (-3, {"gender": "M", "age": np.int32(33)}),
        (2**63 - 1, {"gender": "other", "age": np.float32(50)}),
    ],
)
def test_the_user_is_the_online_one(both: Pod, valkey: ValkeyServer, user: int, raw: dict[str, Any]) -> None:
    _write(valkey, feast_names.USER_VIEW, "user_id", user, **raw)
    own = {"user_id": user} | {name: value for name, value in raw.items() if name != "gender" or value}
    for reply in _ask(both, user_id=user):
        assert reply["degraded"] is False
        if raw["gender"] is None:  # a null is a category of its own
            assert _scores(reply) != pytest.approx(_expected(user))
        else:
            _agree(reply, _expected(user, own))
    for reply in _ask(both, user_id=user, plain=True, k=300):
        _agree(reply, _expected(user))


def test_who_is_not_online_is_unknown(both: Pod, valkey: ValkeyServer) -> None:
    _write(valkey, feast_names.USER_VIEW, "user_id", 8, gender="M")
    _write(valkey, feast_names.USER_VIEW, "user_id", 9, 3700, gender="M")
    for user in (7, 9, 10**6):
        for reply in _ask(both, user_id=user):
            _agree(reply, _expected(None))
    for reply in _ask(both, user_id=8):
        _agree(reply, _expected(8, {"user_id": 8, "gender": "M"}))


def test_items_follow_and_the_cap_follows_them(both: Pod, valkey: ValkeyServer) -> None:
    before = [_scores(one) for one in _ask(both, user_id=None, k=300)]
    assert before[0] == pytest.approx(before[1], abs=1e-5)
    assert len(before[0]) == 12  # 4 of each of 3 categories
    for item in SAMPLE.item_ids.tolist():
        _write(valkey, feast_names.ITEM_VIEW, "item_id", item, category_l1="b")
    within = _wait(both, lambda found: all(len(one) == 4 for one in found))
    assert within < 5
    changed = SamplePackage(RETAIL, 1)
    changed.items["category_l1"] = np.full(RETAIL.items, 4)
    expected = dict(zip(*changed.expected(None, CONTEXT, 300), strict=True))
    for reply in _ask(both, user_id=None):
        _agree(reply, expected)
    for reply in _ask(both, user_id=None, plain=True, k=300):
        _agree(reply, _expected(None))


def test_valkey_goes_and_comes_back(both: Pod, valkey: ValkeyServer) -> None:
    valkey.stop()
    try:
        for reply in _ask(both, user_id=5):
            assert reply["degraded"] is True
            assert len(reply["items"]) == 4
        assert [one["degraded"] for one in _ask(both, user_id=None)] == [False, False]
    finally:
        valkey.start()
    within = _wait(both, lambda found: all(len(one) == 12 for one in found))  # it came back empty
    assert within < 5
    assert [one["degraded"] for one in _ask(both, user_id=5)] == [False, False]
    _write(valkey, feast_names.ITEM_VIEW, "item_id", 1000, category_l1="a")
    for item in SAMPLE.item_ids.tolist()[1:]:
        _write(valkey, feast_names.ITEM_VIEW, "item_id", item, category_l1="c")
    assert _wait(both, lambda found: all(len(one) <= 5 for one in found)) < 5


def _wait(pod: Pod, condition: Callable[[list[dict[int, float]]], bool], limit: float = 20) -> float:
    """Seconds until the replies to somebody anonymous are so."""
    began = time.monotonic()
    while time.monotonic() < began + limit:
        if condition([_scores(one) for one in _ask(pod, user_id=None, k=300)]):
            return time.monotonic() - began
        time.sleep(0.1)
    raise AssertionError(_ask(pod, user_id=None, k=300))
