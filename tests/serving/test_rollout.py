"""Two versions answer side by side: who gets which, what is counted, and that none is mixed. Real Triton."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from recstack_gateway import memory

from tests.serving.conftest import Packages
from tests.serving.fingerprints import USERS, Fingerprints
from tests.serving.pod import Pod
from tests.serving.sample_package import NOW, RETAIL, SamplePackage

REQUESTS = int(os.environ.get("SWAP_REQUESTS", "3000"))
"""More of them, up to millions, for the figures; the default is for a quick look."""
BOTH = ("first", "second")


def _packages() -> dict[str, SamplePackage]:
    return {name: SamplePackage(RETAIL, seed) for name, seed in zip(BOTH, (1, 2), strict=True)}


def _publish(pod: Pod, packages: Packages, live: str = "first", weight: int = 0, **more: Any) -> None:
    entries = [pod.add_version(name, getattr(packages, name), packages.artifacts) for name in BOTH]
    other = BOTH[live == "first"]
    routes = [{"version": other, "weight": weight}] if weight else []
    pod.publish(live, *entries, routes=routes, **more)


def _proven(pod: Pod, packages: Packages) -> None:
    _publish(pod, packages)
    pod.wait("both are proven", lambda: pod.states() == dict.fromkeys(BOTH, "Proven"))


def _url(pod: Pod) -> str:
    return str(pod.client.base_url)


@asynccontextmanager
async def _swapping(pod: Pod, packages: Packages) -> AsyncIterator[list[str]]:
    """Plans come one after the other: shares up and down, flips there and back."""
    done: list[str] = []

    async def run() -> None:
        for number in range(1_000_000):
            live = BOTH[number // 4 % 2]
            weight = (0, 10, 50, 100)[number % 4]
            await asyncio.to_thread(_publish, pod, packages, live, weight, epoch=str(number))
            done.append(f"{live} {weight}")
            await asyncio.sleep(0.05)

    task = asyncio.create_task(run())
    try:
        yield done
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_no_request_is_mixed_or_fails_while_plans_change(pod: Pod, packages: Packages) -> None:
    _proven(pod, packages)
    found = Fingerprints(_packages())
    async with _swapping(pod, packages) as plans:
        await found.ask(_url(pod), REQUESTS * 2 // 3)
        await found.ask(_url(pod), REQUESTS // 3, callers=2, batch=25)
    assert not found.mixed
    assert not found.failed
    assert sum(found.answered.values()) >= REQUESTS - 25
    assert min(found.answered[name] for name in BOTH) > REQUESTS / 20
    assert len(plans) > 5


async def test_people_move_once_and_stay(pod: Pod, packages: Packages) -> None:
    _proven(pod, packages)
    found = Fingerprints(_packages())
    for weight in (5, 20, 60, 100):
        _publish(pod, packages, weight=weight, epoch=f"w{weight}")
        pod.wait("the step is known", lambda w=weight: _epoch(pod) == f"w{w}")  # type: ignore[misc]
        await found.ask(_url(pod), 100)
        await found.ask(_url(pod), 100, callers=1, batch=50)
    assert not found.mixed
    assert not found.failed
    assert all(seen in (["first", "second"], ["second"]) for seen in found.versions.values())
    _publish(pod, packages)


def _epoch(pod: Pod) -> str:
    epoch: str = _said(pod, "first")["epoch"]
    return epoch


def _said(pod: Pod, name: str) -> dict[str, Any]:
    said: dict[str, Any] = pod.client.get("/versions").json()[name]["statistics"]
    return said


async def test_what_is_counted(pod: Pod, packages: Packages) -> None:
    """Requests, latency, clicks by the version that answered; an event that names none by its person's."""
    _proven(pod, packages)
    _publish(pod, packages, weight=40, epoch="counted", clickEvent="view")
    pod.wait("the step is known", lambda: _epoch(pod) == "counted")
    found = Fingerprints(_packages())
    await found.ask(_url(pod), 200)
    events = [
        {"event_id": f"c{user}", "user_id": user, "item_id": 1000, "type": "view", "timestamp": NOW}
        for user in USERS
    ]
    events.append(events[0] | {"event_id": "other", "type": "cart"})
    events.append(events[0] | {"event_id": "named", "version": "first"})
    for _ in range(2):  # a sender that tries again
        assert pod.client.post("/v1/events", json={"events": events}).status_code == 202
    clicks = {name: _said(pod, name)["clicks"] for name in BOTH}
    mine = sum(seen == ["second"] for seen in found.versions.values())
    assert clicks == {"first": len(USERS) - mine + 1, "second": mine}
    for name in BOTH:
        said = _said(pod, name)
        assert (said["requests"], said["errors"]) == (found.answered[name], 0)
        assert (said["replies"], sum(said["latency"].values())) == (found.answered[name],) * 2
    assert 'recstack_version_requests_total{outcome="answered",version="second"}' in _metrics(pod)
    _publish(pod, packages)


def _metrics(pod: Pod) -> str:
    return pod.client.get("/metrics").text


async def test_a_version_that_is_tried_and_fails_harms_nobody(pod: Pod, packages: Packages) -> None:
    """Its requests are answered by the live one, wholly, and counted as its failures."""
    _proven(pod, packages)
    _publish(pod, packages, weight=100, epoch="failing")
    pod.wait("the step is known", lambda: _epoch(pod) == "failing")
    assert pod.recommend(user_id=17).json()["version"] == "second"
    stubs = pod.stubs("second")
    assert len(stubs) == 1
    os.kill(stubs[0], 9)
    found = Fingerprints(_packages())
    await found.ask(_url(pod), 300)
    assert not found.failed
    assert not found.mixed
    assert found.answered["first"] > 0
    assert _said(pod, "second")["errors"] > 0
    pod.wait("it is mended", lambda: pod.recommend(user_id=17).json()["version"] == "second")
    _publish(pod, packages)


async def test_mirrored_requests_are_compared_and_never_given(pod: Pod, packages: Packages) -> None:
    _proven(pod, packages)
    _publish(pod, packages, mirror={"version": "second", "fraction": 1.0}, epoch="shadow")
    pod.wait("the step is known", lambda: _epoch(pod) == "shadow")
    found = Fingerprints(_packages())
    await found.ask(_url(pod), 200, callers=2)
    assert found.answered == {"first": 200}
    pod.wait("all are compared", lambda: _said(pod, "second")["mirrored"] >= 100)
    said = _said(pod, "second")
    assert (said["errors"], said["replies"]) == (0, 0)
    assert 0 < said["overlap"] < said["mirrored"]
    assert said["scoreDifference"] > 0
    assert sum(said["latency"].values()) == said["requests"] == said["mirrored"]
    _publish(pod, packages)


def test_a_way_back_takes_less_than_five_seconds(pod: Pod, packages: Packages) -> None:
    """From the operator's one write to the last reply of the version that was taken back."""
    _proven(pod, packages)
    _publish(pod, packages, live="second")
    pod.wait("second answers", lambda: pod.recommend(user_id=17).json()["version"] == "second")
    start = time.monotonic()
    _publish(pod, packages, live="first")
    pod.wait("first answers", lambda: pod.recommend(user_id=17).json()["version"] == "first")
    assert time.monotonic() - start < 5


def test_latency_is_measured_before_anybody_is_answered(pod: Pod, packages: Packages) -> None:
    """Of a version that the plan names for it; it takes longer than the proof."""
    entries = [pod.add_version(name, packages.first, packages.artifacts) for name in ("first", "gated")]
    pod.publish("first", *entries, measure=["gated"])
    pod.wait("both are proven", lambda: pod.states().get("gated") == "Proven")
    said = pod.client.get("/versions").json()
    assert 0 < said["gated"]["latency"]["p50"] <= said["gated"]["latency"]["p99"] < 1000
    assert said["first"]["latency"] is None


def test_what_a_version_holds_is_measured(pod: Pod, packages: Packages) -> None:
    _proven(pod, packages)

    def told() -> bool:
        found = memory.read(pod.folder / "models" / "memory.json")
        # Outside of a container the processes of others are seen too.
        return found is not None and all(found.versions.get(name, 0) > 2**20 for name in BOTH)

    pod.wait("both are measured", told)
