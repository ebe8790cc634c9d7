"""More requests than a pod can answer: the surplus is refused at once, nothing breaks. Real Triton."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from recstack_gateway.triton import GrpcTriton
from recstack_triton_templates.render import model_name

from tests.serving.conftest import Packages
from tests.serving.pod import Pod

CALLERS, CALLS = 24, 25
ALONE, LONG = 300, 0.01
WAIT = "narrow"


@pytest.fixture
def narrow(pod: Pod, packages: Packages) -> Iterator[Pod]:
    """A pod whose live version lets two requests wait, and each 20 ms."""
    first = pod.add_version("first", packages.first, packages.artifacts)
    entry = pod.add_version(
        WAIT, packages.first, packages.artifacts, batch_requests=1, queue_requests=2, queue_milliseconds=20
    )
    pod.publish(WAIT, entry, first)
    pod.wait("narrow answers", lambda: pod.recommend().json().get("version") == WAIT)
    yield pod
    pod.publish("first", first)
    pod.wait("first answers", lambda: pod.recommend().json().get("version") == "first")


def _ask(pod: Pod) -> list[httpx.Response]:
    with httpx.Client(base_url=pod.client.base_url, timeout=10, trust_env=False) as client:
        return [client.post("/v1/recommend", json={"user_id": one}) for one in range(CALLS)]


def test_the_surplus_is_refused_and_the_version_stays_proven(narrow: Pod) -> None:
    loads = _loads(narrow)
    with ThreadPoolExecutor(CALLERS) as pool:
        asked = [pool.submit(_ask, narrow) for _ in range(CALLERS)]
        states = [narrow.states()[WAIT] for _ in range(20)]
        replies = [reply for one in asked for reply in one.result()]
    counts = Counter(reply.status_code for reply in replies)
    assert set(counts) == {200, 503}, counts
    refused = next(reply for reply in replies if reply.status_code == 503)
    assert refused.headers["Retry-After"] == "1"
    assert "too many requests wait" in refused.json()["detail"]
    assert set(states) == {"Proven"}
    assert _loads(narrow) == loads
    assert narrow.recommend(user_id=1).status_code == 200


def _loads(pod: Pod) -> str:
    lines = pod.client.get("/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("recstack_loads_total"))


def test_nobody_waits_for_a_model_that_is_idle(pod: Pod, packages: Packages) -> None:
    """One caller by itself, who asks again at once: with bounds in Triton the mean wait was 0.05 s."""
    pod.publish("first", pod.add_version("first", packages.first, packages.artifacts))
    pod.wait("first answers", lambda: pod.recommend().json().get("version") == "first")
    assert asyncio.run(_mean_wait(pod)) < LONG


async def _mean_wait(pod: Pod) -> float:
    triton, model = GrpcTriton(f"127.0.0.1:{pod.grpc_port}"), model_name("first")
    try:
        before = (await triton.waited())[model]
        for _ in range(ALONE):
            await triton.infer(model, b"{}")
        after = (await triton.waited())[model]
    finally:
        await triton.close()
    return (after.queue_seconds - before.queue_seconds) / (after.requests - before.requests)
