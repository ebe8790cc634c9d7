"""What a request did inside: histograms by stage, and a trace where somebody collects them.

Traces are OpenTelemetry's. The SDK reads its own environment variables (OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_TRACES_SAMPLER…), which the operator renders from ``spec.serving.tracing``; without an endpoint nothing
is recorded and a request pays one context variable. A span's stages are what the model measured, so they lie
one after another from where its run began; in a run of several requests all of them have its stages.
https://opentelemetry.io/docs/specs/otel/
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from recstack_triton_templates.graph import FUSED

from recstack_gateway import metrics

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_IN_REQUEST: ContextVar["Span | None"] = ContextVar("span")
_PROPAGATOR = TraceContextTextMapPropagator()
_STAGES = [metrics.STAGE.labels(stage) for stage in FUSED]


class Telemetry:
    """Watches requests. ``tracer`` None: histograms only."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    @contextmanager
    def request(self, route: str, headers: Mapping[str, str]) -> Iterator[Span | None]:
        """A request of a caller, who may have begun a trace (W3C Trace Context)."""
        with self._begun(route, headers) as span:
            token = _IN_REQUEST.set(span)
            try:
                yield span
            finally:
                _IN_REQUEST.reset(token)

    def _begun(self, route: str, headers: Mapping[str, str]) -> AbstractContextManager[Span | None]:
        if self._tracer is None:
            return nullcontext()
        attributes = {"http.request.method": "POST", "http.route": route}
        parent = _PROPAGATOR.extract(headers)
        return self._tracer.start_as_current_span(f"POST {route}", parent, SpanKind.SERVER, attributes)

    def inferred(self, model: str, seconds: float, stages: Sequence[float]) -> None:
        """A call of Triton that ended now; ``stages`` [len(FUSED)] milliseconds, empty: of an ensemble."""
        try:
            request = _IN_REQUEST.get()
        except LookupError:
            return  # a check of this gateway's own
        for observer, milliseconds in zip(_STAGES, stages, strict=bool(stages)):
            observer.observe(milliseconds / 1000)
        if self._tracer is not None and request is not None and request.is_recording():
            self._record(self._tracer, request, model, seconds, stages)

    @staticmethod
    def _record(tracer: Tracer, request: Span, model: str, seconds: float, stages: Sequence[float]) -> None:
        end = time.time_ns()
        start = end - int(seconds * 1e9)
        context = trace.set_span_in_context(request, Context())
        call = tracer.start_span(f"triton {model}", context, SpanKind.CLIENT, start_time=start)
        call.set_attribute("recstack.model", model)
        inside = trace.set_span_in_context(call, Context())
        # Where within the call the run lay is not known; the wait of the queue comes before it.
        at = end - min(int(sum(stages) * 1e6), end - start)
        for stage, milliseconds in zip(FUSED, stages, strict=bool(stages)):
            span = tracer.start_span(stage, inside, start_time=at)
            at += int(milliseconds * 1e6)
            span.end(at)
        call.end(end)


SILENT = Telemetry(None)


def answered(span: Span | None, status: int) -> None:
    """Tell the span of a request how it ended."""
    if span is None:
        return
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def provider(environment: Mapping[str, str] = os.environ) -> TracerProvider | None:
    """Of this process; None: nobody collects traces. Its shutdown sends the last ones."""
    if not environment.get(ENDPOINT):
        return None
    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made
