"""Access log and trace: a line for each request, whatever became of it; rotation; and the way back into a plan."""

import asyncio
import json
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from cuvee.serve.journal import TRACE_HEADER, Journal, access_line, early_line, trace_line
from cuvee.serve.request import Request
from cuvee.workload import classify, load_trace
from tests.serve.world import MODEL, QUICK, Client, Engine, ask, gateway, whole


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


FULL = Path("/dev/full")
"""A disk that takes nothing."""

ASKED = Request()


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_lines_that_a_full_disk_refuses_are_written_later(tmp_path, monkeypatch):
    """They keep their order; what is too much is counted, and it is the newest."""
    monkeypatch.setattr("cuvee.serve.journal.MOST_HELD", 3)
    journal = Journal(tmp_path / "log", trace_line, early=lambda _, status, code: b"%d" % status)

    async def play():
        journal.path = FULL
        for number in (1, 2):
            journal.add_early(ASKED, number, "")
        with pytest.raises(OSError, match="space"):
            await journal.write()
        for number in (3, 4):
            journal.add_early(ASKED, number, "")
        assert (journal.held, journal.num_lost) == ([b"1", b"2", b"3"], 1)
        writing = asyncio.create_task(journal.write())
        await asyncio.sleep(0)
        for number in (5, 6):
            journal.add_early(ASKED, number, "")  # while three are on their way to a disk that refuses them
        with pytest.raises(OSError, match="space"):
            await writing
        assert (journal.held, journal.num_lost) == ([b"1", b"2", b"3"], 3)
        journal.path = tmp_path / "log"
        await journal.write()

    asyncio.run(play())
    assert (tmp_path / "log").read_text() == "1\n2\n3\n"


def test_what_half_fits_is_taken_back(tmp_path):
    """A disk that becomes full within a batch holds no part of it: the whole comes later, and once."""
    path = tmp_path / "trace.csv"
    journal = Journal(path, trace_line, TRACE_HEADER)
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    journal.held = [b"1,2,3,a", b"4,5,6,a"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(TRACE_HEADER) + 10, hard))
    try:
        with pytest.raises(OSError, match="large"):
            asyncio.run(journal.write())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == TRACE_HEADER
    asyncio.run(journal.write())
    assert path.read_text() == TRACE_HEADER + "1,2,3,a\n4,5,6,a\n"


def test_neither_a_slow_disk_nor_an_error_stops_the_timeouts(tmp_path, monkeypatch):
    """While a line is on its way to a disk that hangs, and after a fault of our own, an idle client is still closed."""

    async def play():
        async with gateway([Engine()], options=replace(QUICK, idle_s=0.1)) as server:
            released, failing = asyncio.Event(), iter([True, True])
            journal, tick = Journal(tmp_path / "log", access_line), server.gateway.tick

            def fail_twice():
                if next(failing, False):
                    raise ValueError("a fault")
                tick()

            told: list[str] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(str(what["exception"])))
            monkeypatch.setattr(server.gateway, "tick", fail_twice)
            monkeypatch.setattr(journal, "write", released.wait)
            server.keep(journal)
            assert await (await Client.to(server)).is_closed()
            assert told == ["a fault"]
            released.set()

    asyncio.run(play())


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
