"""Latency of POST /v1/recommend at concurrency 1 through a real gateway, Triton and Valkey.

    python benchmarks/serving_latency.py [--artifacts DIR --digest sha256:…] [--requests N] [--graph ensemble]

Run it with the serving image's packages. Without a package it makes a small one, whose networks cost next to
nothing. Prints where the time of the stages goes, in this process, then one line of JSON: milliseconds at the
caller, inside Triton (gRPC included), and of the stages alone; and requests a second in batches of several
sizes. Users are mixed: known, unknown, anonymous; half of the known have seen 20 items.
"""

import argparse
import http.client
import itertools
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
from recstack_triton_templates import package
from recstack_triton_templates.recommender import Recommender
from recstack_triton_templates.render import ServingSettings

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.serving.api_server import ApiServer
from tests.serving.pod import Pod
from tests.serving.sample_package import RETAIL, SamplePackage
from tests.serving.valkey_server import ValkeyServer

WARM_UP = 200
BATCHES = (1, 8, 32, 128)
METHODS = {"context_transform": "batch", "user_transform": "batch", "users": "known"}
"""Stages that the graph does not call themselves."""


def _bodies(users: list[int]) -> Iterator[dict[str, Any]]:
    for number in itertools.count():
        user = [users[number % len(users)], users[(7 * number) % len(users)], 2**40 + number, None][
            number % 4
        ]
        context = {"device_type": number % 3, "timestamp": 1_704_067_200 + 3571 * number}
        yield {"user_id": user, "k": 10, "context": context}


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(seconds, share)) * 1000, 3) for share in (50, 99)}


def _through_the_pod(pod: Pod, users: list[int], requests: int) -> dict[str, Any]:
    bodies = _bodies(users)
    for user in users[::2]:
        events = [{"event_id": f"{user}-{n}", "user_id": user, "item_id": n} for n in range(20)]
        pod.client.post("/v1/events", json={"events": events}).raise_for_status()
    gateway, triton = [], []
    # The standard library's client: a richer one takes as long as the gateway.
    connection = http.client.HTTPConnection("127.0.0.1", pod.port)
    for number in range(WARM_UP + requests):
        content = json.dumps(next(bodies))
        start = time.perf_counter()
        connection.request("POST", "/v1/recommend", content)
        response = connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - start
        if response.status != 200:
            raise RuntimeError(answer)
        if number >= WARM_UP:
            gateway.append(seconds)
            triton.append(float(response.headers["server-timing"].split("dur=")[1]) / 1000)
    connection.close()
    return {"gateway_ms": _percentiles(gateway), "triton_ms": _percentiles(triton)}


def _in_batches(pod: Pod, users: list[int], requests: int) -> dict[str, Any]:
    """Requests a second of one caller, by the size of its batches; ``single`` through POST /v1/recommend."""
    bodies, rates = _bodies(users), {}
    connection = http.client.HTTPConnection("127.0.0.1", pod.port)
    for size in (0, *BATCHES):
        path = "/v1/recommend:batch" if size else "/v1/recommend"
        calls = max(5, requests // max(1, size))
        contents = [
            json.dumps({"requests": list(itertools.islice(bodies, size))} if size else next(bodies))
            for _ in range(calls)
        ]
        start = time.perf_counter()
        for content in contents:
            connection.request("POST", path, content)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise RuntimeError(answer)
        rates[str(size) if size else "single"] = round(calls * max(1, size) / (time.perf_counter() - start))
    connection.close()
    return {"requests_per_second_by_batch": rates}


def _stages(folder: Path, users: list[int], requests: int) -> tuple[dict[str, Any], dict[str, float]]:
    """The fused graph in this process, and the mean microseconds of each stage; no Valkey."""
    faiss.omp_set_num_threads(1)
    loaded = package.load(folder)
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments)
            spent[name] += time.perf_counter() - start
            return result

        return call

    class Timed:
        def __getattr__(self, name: str) -> Any:
            found = getattr(loaded, name)
            if name in METHODS:
                method = METHODS[name]
                return SimpleNamespace(**{method: timed(name, getattr(found, method))})
            return timed(name, found) if callable(found) and name != "items" else found

    def run(recommender: Recommender) -> list[float]:
        bodies, seconds = _bodies(users), []
        for number in range(WARM_UP + requests):
            content = json.dumps(next(bodies)).encode()
            start = time.perf_counter()
            recommender.answer(content)
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - start)
        return seconds

    total = run(Recommender(loaded, ServingSettings(), None, time.time))
    run(Recommender(Timed(), ServingSettings(), None, time.time))  # type: ignore[arg-type]
    mean = {name: round(value / (WARM_UP + requests) * 1e6, 1) for name, value in spent.items()}
    return {"stages_ms": _percentiles(total)}, mean


def main() -> None:
    """Run with the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifacts", type=Path, help="folder that holds packages/<hex>")
    parser.add_argument("--digest", help="package, sha256:<hex>")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--graph", choices=("fused", "ensemble"), default="fused")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        artifacts = arguments.artifacts or folder / "artifacts"
        digest = arguments.digest or SamplePackage(RETAIL, 1).write(artifacts)
        where = artifacts / "packages" / digest.removeprefix("sha256:")
        with np.load(where / "users.npz") as table:
            users = table["__id__"][:200].tolist()
        result, stages = _stages(where, users, arguments.requests)
        api = ApiServer()
        api.start()
        with ValkeyServer(folder) as valkey:
            pod = Pod(folder, api, valkey.url)
            try:
                pod.publish("live", pod.add_version("live", digest, artifacts, graph=arguments.graph))
                pod.start("triton_server")
                pod.start("main")
                pod.wait_ready()
                result |= _through_the_pod(pod, users, arguments.requests)
                result |= _in_batches(pod, users, arguments.requests)
            finally:
                pod.stop()
                api.stop()
    print("stages, mean microseconds:", json.dumps(stages))
    print(json.dumps({"graph": arguments.graph, "candidates": 300, "requests": arguments.requests, **result}))


if __name__ == "__main__":
    main()
