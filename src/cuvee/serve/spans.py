"""OpenTelemetry spans of requests, by the conventions for generative AI; no text of prompts or answers.

Source    open-telemetry/semantic-conventions-genai, docs/gen-ai/client-inference.md (in development), read 2026-11-23.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cuvee._version import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from cuvee.serve.exchange import Exchange

OPERATIONS = {"chat": "chat", "responses": "chat", "completions": "text_completion", "embeddings": "embeddings"}
"""Names that the conventions have; others keep the name of their endpoint."""

PROPAGATED = (b"traceparent", b"tracestate")


def exporting_provider() -> TracerProvider:
    """Spans to a collector, which the environment names as everywhere: OTEL_EXPORTER_OTLP_ENDPOINT and so on."""
    provider = TracerProvider(resource=Resource.create({"service.name": "cuvee", "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Spans:
    """A span for each exchange, from its arrival to its end; the client's trace goes on in it and in the engine."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer("cuvee", __version__)
        self.propagator = TraceContextTextMapPropagator()
        self.under_way: dict[Exchange, Span] = {}

    def begin(self, exchange: Exchange) -> None:
        """A request is recognised: its span begins, and the engine is told of it in place of the client's."""
        head, carrier, kept = exchange.request.head, dict[str, str](), list[bytes]()
        for at in range(0, len(head), 4):
            name = head[at].lower()
            if name in PROPAGATED:
                carrier.setdefault(name.decode(), head[at + 2].decode("latin-1"))
            else:
                kept += head[at : at + 4]
        operation = OPERATIONS.get(exchange.endpoint, exchange.endpoint)
        facts = exchange.facts
        attributes: dict[str, str | int | bool] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "cuvee",
            "gen_ai.request.model": exchange.model.model,
            "gen_ai.request.stream": facts.is_stream,
        }
        if facts.most_tokens:
            attributes["gen_ai.request.max_tokens"] = facts.most_tokens
        span = self.tracer.start_span(
            f"{operation} {exchange.model.model}",
            context=self.propagator.extract(carrier),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=time.time_ns() - round((time.monotonic() - exchange.arrived_s) * 1e9),
        )
        told: dict[str, str] = {}
        self.propagator.inject(told, set_span_in_context(span))
        for each, value in told.items():
            kept += (each.encode(), b": ", value.encode("latin-1"), b"\r\n")
        exchange.request.head = kept
        self.under_way[exchange] = span

    def end(self, exchange: Exchange) -> None:
        """It is over."""
        span = self.under_way.pop(exchange, None)
        if span is None:
            return
        replica = exchange.replica
        if replica is not None:
            span.set_attributes({
                "server.address": replica.address.host, "server.port": replica.address.port,
                "cuvee.group": replica.group, "cuvee.workload": exchange.workload, "cuvee.retries": len(exchange.tried),
            })  # fmt: skip
        span.set_attribute("gen_ai.usage.input_tokens", exchange.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", exchange.answer_tokens)
        span.set_attribute("http.response.status_code", exchange.status)
        if exchange.facts.is_stream and exchange.first_s:
            span.set_attribute("gen_ai.response.time_to_first_chunk", exchange.first_s - exchange.arrived_s)
        if exchange.reason or exchange.status >= 400:
            span.set_attribute("error.type", exchange.reason or str(exchange.status))
            span.set_status(Status(StatusCode.ERROR))
        span.end()
