"""Spans: the client's trace goes on through the gateway to the engine, by the conventions, with no text."""

import asyncio

import pytest

from tests.serve.world import Engine, ask, gateway, whole

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
sdk = pytest.importorskip("opentelemetry.sdk.trace")

from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

from cuvee.serve.spans import Spans  # noqa: E402

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def play(*requests, answer=None):
    """Spans of a gateway that got these requests, and the traceparents that its engine got."""
    kept, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    engine = Engine(answer)

    async def run():
        async with gateway([engine]) as server:
            spans = Spans(provider)
            server.trace(spans)
            for record, headers in requests:
                await ask(server, record, "/v1/completions", *headers)
            assert not spans.under_way

    asyncio.run(run())
    told = [value for asked in engine.asked for name, value in asked.headers if name.lower() == "traceparent"]
    return kept.get_finished_spans(), told


def test_a_trace_goes_on_through_the_gateway():
    """The span is a child of the client's, and the engine is told of the span; what is no traceparent begins anew."""
    spans, told = play(
        ({"max_tokens": 7, "prompt": "hidden"}, [f"Traceparent: {PARENT}", "tracestate: a=b"]),
        ({"stream": True}, ["traceparent: nonsense"]),
    )
    first, second = spans
    assert format(first.context.trace_id, "032x") == TRACE
    assert format(first.parent.span_id, "016x") == "b7ad6b7169203331"
    assert told[0] == f"00-{TRACE}-{first.context.span_id:016x}-01"
    assert second.parent is None
    assert told[1].split("-")[1] == format(second.context.trace_id, "032x") != TRACE
    assert first.name == "text_completion llama-3-8b"
    assert first.attributes["gen_ai.operation.name"] == "text_completion"
    assert first.attributes["gen_ai.request.max_tokens"] == first.attributes["gen_ai.usage.output_tokens"] == 7
    assert first.attributes["cuvee.group"] == "g1"
    assert second.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert first.end_time >= first.start_time
    assert not any("hidden" in str(value) for span in spans for value in span.attributes.values())


def test_failures_are_errors():
    """A reply of 500 is an error by its status; the span ends all the same."""

    async def failing(engine, asked, writer):
        writer.write(whole(500, b"{}"))

    (span,), _ = play(({}, []), answer=failing)
    assert span.attributes["error.type"] == "500"
    assert not span.status.is_ok


def test_without_spans_a_traceparent_passes_as_it_is():
    """Nothing is made of it where spans are off."""

    async def run():
        engine = Engine()
        async with gateway([engine]) as server:
            await ask(server, {}, "/v1/completions", f"traceparent: {PARENT}")
        assert ("traceparent", PARENT) in engine.asked[0].headers

    asyncio.run(run())
