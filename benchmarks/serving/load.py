"""The load generator, a process of its own: each caller sends its next request when the last is answered.

    python -m benchmarks.serving.load '{"kind": "gateway", "port": 8080, "model": "", …}'

Kinds: ``gateway`` (HTTP), ``model`` (the entry of our graphs, gRPC) and ``reference`` (the reference's
ensemble, gRPC). All ask for the same users, devices and times. Prints a :class:`Measured` as JSON.
"""

import http.client
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

Call = Callable[[int], bytes]
"""Sends the request of a number, returns the reply's bytes."""
START = 1_704_067_200


class Refused(Exception):
    """The pod has too much to do: its bounded queue is full, or the request waited in it too long."""


@dataclass(frozen=True)
class Load:
    """What to do. ``users``: known ids; of four requests two are theirs, one is unknown, one anonymous."""

    kind: str
    port: int
    model: str
    concurrency: int
    seconds: float
    users: Sequence[int]


@dataclass(frozen=True)
class Measured:
    """Answered requests, ms at the caller; ``rate``: how many a second; ``refused``: how many were not."""

    requests: int
    refused: int
    rate: float
    p50: float
    p99: float


def asked(number: int, users: Sequence[int]) -> tuple[int | None, int, int]:
    """User, device and time of a request."""
    user = [users[number % len(users)], users[7 * number % len(users)], 2**40 + number, None][number % 4]
    return user, number % 3, START + 3571 * number


def body(number: int, users: Sequence[int]) -> bytes:
    """As our gateway and our model take it; all of the stack's ``topK`` items are wanted."""
    user, device, timestamp = asked(number, users)
    return json.dumps({"user_id": user, "context": {"device_type": device, "timestamp": timestamp}}).encode()


def gateway(port: int, users: Sequence[int]) -> Call:
    """Over one connection; the standard library's client, as a richer one takes as long as the gateway."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(number: int) -> bytes:
        connection.request("POST", "/v1/recommend", body(number, users))
        response = connection.getresponse()
        content = response.read()
        if response.status == 503:
            raise Refused
        if response.status != 200:
            raise RuntimeError(content.decode())
        return content

    return call


def model(port: int, name: str, users: Sequence[int]) -> Call:
    """Our entry model."""
    infer = _stub(port)

    def call(number: int) -> bytes:
        content = body(number, users)
        request = service_pb2.ModelInferRequest(model_name=name, raw_input_contents=[content])
        tensor = request.inputs.add(name="REQUEST", datatype="UINT8")
        tensor.shape.extend((1, len(content)))
        request.outputs.add(name="REPLY")
        return infer(request).raw_output_contents[0]  # type: ignore[no-any-return]

    return call


def reference(port: int, name: str, users: Sequence[int]) -> Call:
    """The reference's ensemble: -1 for a user that is not known. The reply: ids int64 and scores float32."""
    infer = _stub(port)

    def call(number: int) -> bytes:
        user, device, timestamp = asked(number, users)
        request = service_pb2.ModelInferRequest(model_name=name)
        values = {"USER_ID": -1 if user is None else user, "DEVICE_TYPE": device, "TIMESTAMP": timestamp}
        for key, value in values.items():
            request.inputs.add(name=key, datatype="INT64", shape=[1])
            request.raw_input_contents.append(np.array([value]).tobytes())
        response = infer(request)
        parts = {
            one.name: raw for one, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }
        return parts["ITEM_IDS"] + parts["ITEM_SCORES"]  # type: ignore[no-any-return]

    return call


def _stub(port: int) -> Callable[[Any], Any]:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
    return partial(service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer, timeout=30)


def caller(load: Load) -> Call:
    """One caller with a connection of its own."""
    if load.kind == "gateway":
        return gateway(load.port, load.users)
    return {"model": model, "reference": reference}[load.kind](load.port, load.model, load.users)


def run(load: Load) -> Measured:
    """All callers until the time is over; a request that fails ends it, one that is refused counts."""
    numbers: Iterator[int] = itertools.count()
    taken: list[list[float]] = [[] for _ in range(load.concurrency)]
    failures: list[BaseException] = []
    refused: list[int] = []
    calls = [caller(load) for _ in range(load.concurrency)]
    for call in calls:
        call(next(numbers))
    began = time.perf_counter()

    def work(call: Call, own: list[float]) -> None:
        try:
            while (start := time.perf_counter()) - began < load.seconds and not failures:
                try:
                    call(next(numbers))
                except Refused:
                    refused.append(1)
                    continue
                own.append(time.perf_counter() - start)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(calls, taken, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    every = np.array([one for own in taken for one in own]) * 1000
    p50, p99 = (round(float(np.percentile(every, share)), 3) for share in (50, 99))
    return Measured(len(every), len(refused), round(len(every) / seconds, 2), p50, p99)


if __name__ == "__main__":
    print(json.dumps(asdict(run(Load(**json.loads(sys.argv[1]))))))
