"""What a request tells of its inside."""

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from recstack_gateway.telemetry import ENDPOINT, Telemetry, answered, provider
from recstack_triton_templates.graph import FUSED

PARENT = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = {"traceparent": f"00-{PARENT}-00f067aa0ba902b7-01"}
TIMES = [float(place + 1) for place in range(len(FUSED))]


def _observed(stage: str) -> float:
    return REGISTRY.get_sample_value("recstack_stage_seconds_count", {"stage": stage}) or 0.0


def _spans(headers: Mapping[str, str], stages: Sequence[float], status: int = 200) -> list[ReadableSpan]:
    exporter, traces = InMemorySpanExporter(), TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(traces.get_tracer("test"))
    with telemetry.request("/v1/recommend", headers) as span:
        telemetry.inferred("recommender--v", 0.2, stages)
        answered(span, status)
    return list(exporter.get_finished_spans())


def test_a_trace_goes_on_by_stage() -> None:
    spans = {span.name: span for span in _spans(CALLER, TIMES)}
    server, call = spans["POST /v1/recommend"], spans["triton recommender--v"]
    assert format(server.context.trace_id, "032x") == PARENT
    assert call.parent is not None
    assert call.parent.span_id == server.context.span_id
    stages = [spans[stage] for stage in FUSED]
    assert {stage.parent.span_id for stage in stages if stage.parent} == {call.context.span_id}
    for stage, milliseconds in zip(stages, TIMES, strict=True):
        assert stage.start_time is not None
        assert stage.end_time is not None
        assert stage.end_time - stage.start_time == int(milliseconds * 1e6)
    for one, next_ in pairwise(stages):
        assert one.end_time == next_.start_time


def test_an_ensemble_has_no_stages_of_its_own() -> None:
    assert [span.name for span in _spans({}, [])] == ["triton recommender--v", "POST /v1/recommend"]


@pytest.mark.parametrize(("status", "error"), [(200, False), (422, False), (503, True)])
def test_a_failure_of_ours_marks_the_span(status: int, error: bool) -> None:
    server = next(span for span in _spans({}, [], status) if span.name.startswith("POST"))
    assert server.attributes is not None
    assert server.attributes["http.response.status_code"] == status
    assert (server.status.status_code.name == "ERROR") is error


def test_stages_of_requests_are_observed_and_those_of_checks_are_not() -> None:
    silent = Telemetry(None)
    before = _observed("dlrm_ranking")
    silent.inferred("recommender--v", 0.1, TIMES)
    assert _observed("dlrm_ranking") == before
    with silent.request("/v1/recommend", {}):
        silent.inferred("recommender--v", 0.1, TIMES)
    assert _observed("dlrm_ranking") == before + 1
    silent.inferred("recommender--v", 0.1, TIMES)
    assert _observed("dlrm_ranking") == before + 1


def test_no_endpoint_no_traces() -> None:
    assert provider({}) is None


def test_a_silent_request_costs_microseconds() -> None:
    silent = Telemetry(None)
    # The process's own time: what others do on the machine is not this code's cost.
    start = time.process_time()
    for _ in range(1000):
        with silent.request("/v1/recommend", {}):
            silent.inferred("recommender--v", 0.1, TIMES)
    assert (time.process_time() - start) / 1000 < 200e-6
    assert provider({ENDPOINT: ""}) is None
