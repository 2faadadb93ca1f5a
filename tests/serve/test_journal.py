"""Access log and trace: a line for each request, whatever became of it; rotation; and the way back into a plan."""

import asyncio
import json

import pytest

from cuvee.serve.journal import TRACE_HEADER, Journal, access_line, early_line, trace_line
from cuvee.workload import classify, load_trace
from tests.serve.world import MODEL, Client, Engine, ask, gateway, whole


def test_every_request_leaves_one_line_whatever_becomes_of_it(tmp_path):
    """Answered, failed, of no model, of no path, no HTTP: one line each with its reason, and no text of a client."""

    async def failing(engine, asked, writer):
        good = asked.json["max_tokens"] == 5
        writer.write(whole(200 if good else 500, b'{"usage": {"prompt_tokens": 3, "completion_tokens": 5}}'))

    async def play():
        async with gateway([Engine(failing)]) as server:
            server.keep(Journal(tmp_path / "access.log", access_line, early=early_line))
            await ask(server, {"max_tokens": 5, "prompt": "hidden"})
            await ask(server, {"max_tokens": 6, "prompt": "hidden"})
            await ask(server, {"model": "hidden-model"})
            await ask(server, path="/hidden-path")
            client = await Client.to(server)
            client.writer.write(b"HIDDEN\r\n\r\n")
            await client.reply()

    asyncio.run(play())
    text = (tmp_path / "access.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["status"], line["reason"]) for line in lines] == [
        (200, None), (500, None), (404, "model_not_found"), (404, "not_found"), (400, "malformed_request"),
    ]  # fmt: skip
    assert (lines[0]["workload"], lines[0]["group"], lines[0]["key"]) == ("brief", "g1", None)
    assert "hidden" not in text.lower()


def test_a_file_that_is_renamed_is_begun_anew(tmp_path):
    """What comes after a rotation goes to a new file, with the trace's header; nothing is lost, nobody is told."""
    trace = tmp_path / "trace.csv"

    async def play():
        async with gateway([Engine()]) as server:
            journal = Journal(trace, trace_line, TRACE_HEADER)
            server.keep(journal)
            await ask(server)
            await journal.write()
            trace.rename(tmp_path / "trace.1.csv")
            await ask(server)

    asyncio.run(play())
    for each in (trace, tmp_path / "trace.1.csv"):
        assert each.read_text().startswith(TRACE_HEADER)
        assert load_trace(each).output_tokens.tolist() == [16]


def test_a_trace_is_read_back_as_what_was_asked(tmp_path):
    """Lengths and order of arrival of what the gateway noted are a demand; requests without an answer are left out."""

    async def slow_first(engine, asked, writer):
        record = asked.json
        await asyncio.sleep(0.3 if record["max_tokens"] == 40 else 0.0)
        if record["max_tokens"] == 7:
            writer.write(whole(400, b"{}"))
        else:
            usage = {"prompt_tokens": 100, "completion_tokens": record["max_tokens"]}
            writer.write(whole(200, json.dumps({"usage": usage}).encode()))

    async def play():
        async with gateway([Engine(slow_first)]) as server:
            server.keep(Journal(tmp_path / "trace.csv", trace_line, TRACE_HEADER))
            first = await Client.to(server)
            first.send({"max_tokens": 40})
            await asyncio.sleep(0.05)
            for tokens in (10, 7, 20):
                await ask(server, {"max_tokens": tokens})
            await first.reply()

    asyncio.run(play())
    found = load_trace(tmp_path / "trace.csv")
    assert found.arrival_s is not None
    # the tempting wrong order is that of the lines, which are written as answers end: 10, 20, 40
    by_arrival = sorted(zip(found.arrival_s.tolist(), found.output_tokens.tolist(), strict=True))
    assert [tokens for _, tokens in by_arrival] == [40, 10, 20]
    assert found.model_names == (MODEL,)
    demand = classify(found)
    assert sum(demand.num_requests) == 3
    assert sum(kind.input_tokens for kind in demand.types) == pytest.approx(100 * len(demand.types))
