"""Traces for OpenTelemetry, where its variables ask for them and its packages are there.

One span for each request, with its route's template and no address, query or text: the usual
instrumentation would write down whole addresses.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from serving.request_facts import RequestFacts

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_ASKED = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = logging.getLogger("whyscore.serving")


class Span:
    """A request that is being traced."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def end(self, method: str, route: str, status: int, facts: RequestFacts) -> None:
        """Write down what became of it."""
        from opentelemetry.trace import Status, StatusCode

        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "whyscore.request_id": facts.request_id,
                **({} if facts.items is None else {"whyscore.items": facts.items}),
            }
        )
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Tracer:
    """Makes spans.

    Parameters
    ----------
    provider
        Of the OpenTelemetry SDK.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("whyscore")

    def begin(self, traceparent: str | None) -> Span:
        """Begin the span of a request, below the caller's where it names one (W3C Trace Context)."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {} if traceparent is None else {"traceparent": traceparent}
        context = TraceContextTextMapPropagator().extract(carrier)
        return Span(self._tracer.start_span("request", context=context, kind=SpanKind.SERVER))

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


def tracer_on_request() -> Tracer | None:
    """Give a tracer where an ``OTEL_*`` endpoint is set, with what the other ``OTEL_*`` variables say.

    Without the packages (the extra ``otel``) it says so in the log and traces nothing.
    """
    if not any(os.environ.get(name) for name in _ASKED):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning(
            "traces are asked for, but their packages are not there; run in Whyscore's folder: "
            "pip install -c constraints.txt '.[otel]'"
        )
        return None
    name = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "whyscore"}
    provider = TracerProvider(resource=Resource.create(name))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider)
