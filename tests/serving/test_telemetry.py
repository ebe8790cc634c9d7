"""Traces and metrics of a real pod: real Triton, a collector that speaks OTLP over HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from recstack_triton_templates.graph import FUSED

from tests.serving.api_server import ApiServer
from tests.serving.conftest import Packages
from tests.serving.pod import Pod

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        spans = self.spans = list[dict[str, Any]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in body["resourceSpans"]:
                    for scope in resource["scopeSpans"]:
                        spans.extend(scope["spans"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, packages: Packages, collector: Collector
) -> Iterator[Pod]:
    """A pod as the operator makes it with ``spec.serving.tracing``, that samples callers' own traces only."""
    api = ApiServer()
    api.start()
    pod = Pod(tmp_path_factory.mktemp("traced"), api, None)
    try:
        pod.publish("first", pod.add_version("first", packages.first, packages.artifacts))
        pod.start("triton_server")
        pod.start(
            "main",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_TRACES_SAMPLER="parentbased_traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0",
            OTEL_BSP_SCHEDULE_DELAY="200",
        )
        pod.wait_ready()
        yield pod
    finally:
        pod.stop()
        api.stop()


def _samples(pod: Pod) -> dict[tuple[str, str], float]:
    """Values by metric and its first label's value."""
    text = pod.client.get("/metrics").text
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_trace_of_a_caller_goes_down_to_the_stages(traced: Pod, collector: Collector) -> None:
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    assert traced.client.post("/v1/recommend", json={"user_id": 1}).status_code == 200
    assert traced.client.post("/v1/recommend", json={"user_id": 1}, headers=headers).status_code == 200
    end = time.monotonic() + 10
    while len(collector.spans) < len(FUSED) + 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert {span["traceId"] for span in collector.spans} == {TRACE}, "only the sampled request is told"
    spans = {span["name"]: span for span in collector.spans}
    assert set(spans) == {"POST /v1/recommend", "triton recommender--first", *FUSED}
    server, call = spans["POST /v1/recommend"], spans["triton recommender--first"]
    assert server["parentSpanId"] == "b7ad6b7169203331"
    assert call["parentSpanId"] == server["spanId"]
    for stage in FUSED:
        assert spans[stage]["parentSpanId"] == call["spanId"]
        assert int(call["startTimeUnixNano"]) <= int(spans[stage]["startTimeUnixNano"])
        assert int(spans[stage]["endTimeUnixNano"]) <= int(call["endTimeUnixNano"]) + 1000


def test_stages_and_waits_are_counted(traced: Pod) -> None:
    before = _samples(traced)
    for user in range(5):
        assert traced.recommend(user_id=user).status_code == 200
    after = _samples(traced)

    def more(name: str, label: str) -> float:
        return after[name, label] - before[name, label]

    for stage in FUSED:
        assert more("recstack_stage_seconds_count", stage) == 5
    assert 0 < more("recstack_stage_seconds_sum", "dlrm_ranking") < 5
    # The checks of the gateway are answered by Triton, too.
    assert 5 <= more("recstack_triton_requests_total", "first") <= 15
    assert 0 <= more("recstack_queue_seconds_total", "first") < 5
