"""Requests that are malformed, oversized, slow or meant to be read in two ways: each gets an error, and nobody else."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cuvee.serve.http_in import ClientConnection
from cuvee.serve.options import ServeOptions
from cuvee.serve.replicas_file import ReplicaAddress
from cuvee.serve.request import Request
from cuvee.serve.upstream import Pool, UpstreamConnection
from tests.serve.world import QUICK, Client, Engine, ask, chunk, ended, gateway, played, request, whole

BODY = b'{"model":"tiny","prompt":"x"}'
POST = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

AMBIGUOUS = {
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "both lengths, the other way": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SECOND,
    "two lengths": POST + b"Content-Length: 29\r\nContent-Length: 2\r\n\r\n" + BODY,
    "two equal lengths": POST + b"Content-Length: 29\r\nContent-Length: 29\r\n\r\n" + BODY,
    "list of lengths": POST + b"Content-Length: 29, 29\r\n\r\n" + BODY,
    "signed length": POST + b"Content-Length: +29\r\n\r\n" + BODY,
    "negative length": POST + b"Content-Length: -29\r\n\r\n" + BODY,
    "hexadecimal length": POST + b"Content-Length: 0x1d\r\n\r\n" + BODY,
    "length with underscore": POST + b"Content-Length: 2_9\r\n\r\n" + BODY,
    "empty length": POST + b"Content-Length: \r\n\r\n" + BODY,
    "length too long": POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + BODY,
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECOND,
    "coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "identity coding": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SECOND,
    "space before colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "folded line": POST + b"X: a\r\n b\r\nContent-Length: 29\r\n\r\n" + BODY,
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "first line folded": b"POST /v1/completions HTTP/1.1\r\n Host: a\r\n\r\n",
    "bare line feeds": b"POST /v1/completions HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
    "bare line feed in head": POST + b"X: y\nContent-Length: 0\r\n\r\n",
    "bare carriage return": POST + b"X: y\rContent-Length: 0\r\n\r\n",
    "zero byte": POST + b"X: a\x00b\r\n\r\n",
    "no colon": POST + b"Content-Length 0\r\n\r\n",
    "no name": POST + b": x\r\n\r\n",
    "odd chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
    "negative chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabcde\r\n0\r\n\r\n",
    "chunk size with space": POST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nabcde\r\n0\r\n\r\n",
    "chunk size overflow": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
    "chunk longer than said": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "line feed after chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "line feed in extension": POST + b"Transfer-Encoding: chunked\r\n\r\n3;\nxx\r\nabc\r\n0\r\n\r\n",
    "length among trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n" + SECOND,
    "chunks in HTTP/1.0": b"POST /v1/completions HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "two hosts": POST + b"Host: b\r\nContent-Length: 0\r\n\r\n",
    "no host": b"POST /v1/completions HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "whole url": b"GET http://elsewhere/v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
    "tunnel": b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SECOND,
    "space in url": b"GET /v1/mo dels HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
    "HTTP/1.2": b"GET /v1/models HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.fixture(scope="module")
def runner():
    """One loop for all vectors."""
    with asyncio.Runner() as found:
        yield found


def test_ambiguous_requests_are_refused_and_end_the_connection():
    """No vector of request smuggling reaches an engine: one error, then the end, and what follows is never read."""

    async def play():
        engine = Engine()
        async with gateway([engine]) as server:
            for name, vector in AMBIGUOUS.items():
                client = await Client.to(server)
                client.writer.write(vector)
                data = await asyncio.wait_for(client.reader.read(), 30)
                status = int(data.split(b" ")[1])
                assert data.startswith(b"HTTP/1.1 "), name
                assert 400 <= status < 600, name
                assert data.count(b"content-length:") == 1, name
                assert b"connection: close" in data, name
                assert b'"error"' in data, name
            assert engine.asked == []
            assert (await ask(server)).status == 200

    played(play())


@pytest.mark.parametrize("cuts", [1, 7])
def test_requests_that_come_in_pieces(cuts):
    """A request is the same whether it comes at once or byte by byte; bodies in chunks are passed on whole."""
    body = b"".join(chunk(BODY[at : at + 5]) for at in range(0, len(BODY), 5)) + b"0\r\nX-Trailer: 1\r\n\r\n"
    text = POST + b"Transfer-Encoding: chunked\r\nConnection: keep-alive, x-own\r\nX-Own: 1\r\nX-Not: 2\r\n\r\n" + body

    async def play():
        engine = Engine()
        async with gateway([engine]) as server:
            client = await Client.to(server)
            for at in range(0, len(text), cuts):
                client.writer.write(text[at : at + cuts])
                await asyncio.sleep(0)
            assert (await client.reply()).status == 200
            (asked,) = engine.asked
            assert asked.body == BODY
            names = [name.lower() for name, _ in asked.headers]
            assert "x-own" not in names
            assert "transfer-encoding" not in names
            assert "x-trailer" not in names
            assert "x-not" in names

    played(play())


def test_other_protocols_that_are_offered_are_passed_over():
    """A client that offers h2c with a body, as Java's does, is answered in HTTP/1.1, and its next request too."""

    async def play():
        async with gateway([Engine()]) as server:
            client = await Client.to(server)
            offer = (
                "Connection: Upgrade, HTTP2-Settings",
                "Upgrade: h2c",
                "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
            )
            for _ in range(2):
                assert (await client.ask(None, "/v1/completions", *offer)).status == 200
            client.writer.write(request(None, "/v1/completions", *offer) * 2)
            assert [(await client.reply()).status for _ in range(2)] == [200, 200]

    played(play())


def test_what_is_too_large_is_refused_before_it_is_read():
    """Heads above their limit are 431, bodies 413 by their length or by what came, compressed ones 415."""
    small = replace(QUICK, head_bytes=2000, body_bytes=1000)
    told = {
        431: POST + b"X: " + b"a" * 3000 + b"\r\n\r\n",
        413: POST + b"Content-Length: 1001\r\n\r\n",
        415: POST + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        417: POST + b"Expect: a miracle\r\nContent-Length: 3\r\n\r\nabc",
    }

    async def play():
        async with gateway([Engine()], options=small) as server:
            for status, text in told.items():
                client = await Client.to(server)
                client.writer.write(text)
                assert (await client.reply()).status == status
            client = await Client.to(server)
            client.writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 600) * 2)
            assert (await client.reply()).status == 413
            client = await Client.to(server)
            client.writer.write(POST + b"".join(b"X-%d: 1\r\n" % number for number in range(150)) + b"\r\n")
            assert (await client.reply()).status == 431
            client = await Client.to(server)
            client.writer.write(b"GET /" + b"a" * 5000)
            assert (await client.reply()).status == 431
            assert server.gateway.buffered_bytes == 0

    played(play())


def test_a_client_that_waits_to_be_asked_for_its_body():
    """Expect: 100-continue is answered before the body comes."""

    async def play():
        async with gateway([Engine()]) as server:
            client = await Client.to(server)
            client.writer.write(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.writer.write(BODY)
            assert (await client.reply()).status == 200

    played(play())


def test_slow_senders_are_ended():
    """Who sends a head or a body too slowly gets 408; an idle connection is closed without a word."""
    hasty = replace(QUICK, head_s=0.2, body_s=0.2, idle_s=0.4)

    async def play():
        async with gateway([Engine()], options=hasty) as server:
            clients = [await Client.to(server) for _ in range(3)]
            clients[0].writer.write(b"POST /v1/completions HTTP/1.1\r\nHost")
            clients[1].writer.write(POST + b"Content-Length: 100\r\n\r\nab")
            assert (await clients[0].reply()).status == 408
            assert (await clients[1].reply()).status == 408
            assert await asyncio.wait_for(clients[2].reader.read(), 5) == b""
            assert server.gateway.buffered_bytes == 0

    played(play())


def test_bodies_that_cannot_be_routed():
    """Each mistake has its status and code in the shape of OpenAI's errors, and the connection goes on."""
    cases = [
        (b"{", 400, "invalid_body"), (b"[]", 400, "invalid_body"), (b"", 400, "invalid_body"),
        (b'{"model": 3}', 400, "invalid_body"), (b'{"model": "gone"}', 404, "model_not_found"),
        (b'{"model": "tiny", "prompt": {}}', 400, "invalid_body"),
        (b'{"model": "tiny", "prompt": ["a", 3]}', 400, "invalid_body"),
        (b'{"model": "tiny", "messages": "hi"}', 400, "invalid_body"),
        (b'{"model": "tiny", "messages": [3]}', 400, "invalid_body"),
        (b'{"model": "tiny", "prompt": "a", "max_tokens": "many"}', 400, "invalid_body"),
        (b'{"model": "tiny", "prompt": "a", "max_tokens": -1}', 400, "invalid_body"),
        (b'{"model": "tiny", "prompt": "a", "max_tokens": []}', 400, "invalid_body"),
        (b'{"model": "tiny", "prompt": "a", "n": 0.5}', 400, "invalid_body"),
        (b'{"model": "tiny", "prompt": "a", "n": 0}', 400, "invalid_body"),
        (b'{"model": "tiny", "prompt": [1.5]}', 400, "invalid_body"),
        (b'{"model": "tiny", "prompt": [%b]}' % b",".join([b'""'] * 4097), 400, "invalid_body"),
        (b'{"model": "tiny", "messages": [%b]}' % b",".join([b"{}"] * 20_001), 400, "invalid_body"),
        (b"[" * 100_000, 400, "invalid_body"),
    ]  # fmt: skip

    async def play():
        engine = Engine()
        async with gateway([engine]) as server:
            client = await Client.to(server)
            for body, status, code in cases:
                client.writer.write(POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                reply = await client.reply()
                assert (reply.status, reply.json["error"]["code"]) == (status, code)
                assert reply.json["error"].keys() == {"message", "type", "param", "code"}
            assert engine.asked == []
            for path, method, status in (
                ("/v1/completions", "GET", 405), ("/v1/models", "POST", 405), ("/etc/passwd", "GET", 404),
                ("/v1/../admin", "GET", 404), ("/v1/models/gone", "GET", 404), ("/v1/models/tiny", "GET", 200),
                ("/v1/models/tiny", "POST", 405),
                ("/metrics", "GET", 404), ("/reload", "POST", 404), ("/health", "GET", 200),
            ):  # fmt: skip
                assert (await client.ask(None, path, method=method)).status == status, path
            assert (await client.ask()).status == 200

    played(play())


def test_head_is_answered_without_a_body():
    """What follows is the next reply. Tempting: an error with its body, which a client takes for the next head."""

    async def play():
        async with gateway([Engine()]) as server:
            reader, writer = await asyncio.open_connection(*server.address)
            for path, status in (("/v1/models", 200), ("/health", 200), ("/v1/completions", 405), ("/nope", 404)):
                writer.write(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 %d " % status), path
                assert int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) > 0
            writer.write(b"GET /v1/models/tiny HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            await ended(writer)

    played(play())


def test_prompts_of_every_form_are_served():
    """Token ids, several prompts, chat messages with parts, a body without a model, embeddings, tokenising."""
    parts = [{"type": "text", "text": "é"}, {"type": "image_url"}]
    bodies = [
        ({"prompt": [1, 2, 3]}, "/v1/completions"), ({"prompt": [[1, 2], [3]]}, "/v1/completions"),
        ({"prompt": ["a", "b"], "n": 2}, "/v1/completions"),
        ({"messages": [{"role": "user", "content": parts}]}, "/v1/chat/completions"),
        ({"messages": [{"role": "assistant", "content": None}]}, "/v1/chat/completions"),
        ({"input": "hi"}, "/v1/responses"), ({"input": [{"role": "user", "content": "hi"}]}, "/v1/responses"),
        ({"input": ["a", "b"]}, "/v1/embeddings"), ({"prompt": "a"}, "/tokenize"), ({"tokens": [1]}, "/detokenize"),
        ({"model": ""}, "/v1/completions"),
    ]  # fmt: skip

    async def play():
        engine = Engine()
        async with gateway([engine]) as server:
            client = await Client.to(server)
            for record, path in bodies:
                assert (await client.ask(record, path)).status == 200
            assert [each.line.split(" ")[1] for each in engine.asked] == [path for _, path in bodies]
            assert server.gateway.serving.router.occupancy == [pytest.approx(0)]

    played(play())


def test_replies_that_are_no_http_are_no_answers():
    """An engine that answers nonsense, or more than one reply, costs its client an error and nobody else anything."""
    nonsense = [
        b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        whole(200, b"{}") + whole(200, b"{}"), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"X" * 100_000, b"",
    ]  # fmt: skip

    async def wrong(engine, asked, writer):
        text = nonsense[(len(engine.asked) - 1) % len(nonsense)]
        writer.write(text)
        if not text:
            writer.transport.abort()

    async def play():
        async with gateway([Engine(wrong)], options=replace(QUICK, failures=1000)) as server:
            for _ in nonsense:
                reply = await ask(server)
                assert reply.status == 502
                assert reply.json["error"]["code"] == "upstream_error"
            assert not server.gateway.exchanges

    played(play())


def test_informational_replies_are_not_passed_on():
    """What an engine sends before its reply, such as 100 and 103, ends here."""

    async def early(engine, asked, writer):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + whole(200, b"{}"))

    async def play():
        async with gateway([Engine(early)]) as server:
            client = await Client.to(server)
            for _ in range(2):
                reply = await client.ask()
                assert (reply.status, reply.body) == (200, b"{}")

    played(play())


class Pretended:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_open = True

    def write(self, data):
        self.written += data

    def close(self):
        self.is_open = False

    abort = write_eof = close

    def can_write_eof(self):
        return True

    def is_closing(self):
        return not self.is_open

    def pause_reading(self):
        pass

    resume_reading = pause_reading


class Listening:
    """A handler that answers at once, and remembers what it was asked."""

    def __init__(self) -> None:
        self.options = ServeOptions(body_bytes=1000, head_bytes=1000)
        self.clients: set[ClientConnection] = set()
        self.buffered_bytes = 0
        self.is_draining = False
        self.handled: list[Request] = []

    def handle(self, client, request):
        self.handled.append(request)
        client.send(b"!")
        client.done(request.is_close)

    def turn_away(self, request, status, code):
        pass


PIECES = st.one_of(
    st.sampled_from([*AMBIGUOUS.values(), POST, SECOND, request(), b"\r\n", b"0\r\n\r\n", b"Content-Length: 5\r\n"]),
    st.binary(max_size=40),
)


@settings(max_examples=150)
@given(pieces=st.lists(PIECES, max_size=6), cut=st.integers(1, 50))
def test_no_bytes_of_a_client_break_its_connection(pieces, cut):
    """Whatever comes, in whatever pieces: no exception, no body left over, and only whole requests are handled."""
    handler, transport = Listening(), Pretended()
    connection = ClientConnection(handler)
    text = b"".join(pieces)

    async def play():
        connection.connection_made(cast(asyncio.Transport, transport))
        for at in range(0, len(text), cut):
            if transport.is_open:
                connection.data_received(text[at : at + cut])
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection.connection_lost(None)

    played(play())
    assert handler.buffered_bytes == 0
    assert not handler.clients
    for each in handler.handled:
        assert each.path.startswith(b"/")
        assert not any(b"\r" in part or b"\n" in part for part in each.head if part != b"\r\n")


class Receiver:
    """Who a reply is for: counts how it begins and ends."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def connected(self, connection):
        return True

    def not_connected(self, pool):
        self.events.append("failed")

    def reply_begins(self, status, head, body, *, ends_with_connection):
        assert head.startswith(b"HTTP/1.1 ")
        assert head.endswith(b"\r\n")
        self.events.append("begun")

    def reply_goes_on(self, data):
        assert self.events == ["begun"]

    def reply_ends(self, *, closes):
        assert self.events == ["begun"]
        self.events.append("ended")

    def reply_fails(self, failure):
        self.events.append("failed")


STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
REPLIES = st.one_of(
    st.sampled_from([
        whole(200, b"{}"), STREAM, chunk(b"data: {}\n\n"), b"0\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", b"connection: close\r\n", b"5\r\nabc",
    ]),
    st.binary(max_size=40),
)  # fmt: skip


@settings(max_examples=200)
@given(pieces=st.lists(REPLIES, max_size=6), cut=st.integers(1, 60))
@example(pieces=[b"\r\n", whole(200, b"{}")], cut=1)
@example(pieces=[b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n", whole(200, b"{}")], cut=60)
def test_no_bytes_of_an_engine_break_its_connection(pieces, cut):
    """Whatever an engine sends, in whatever pieces: the reply begins at most once and ends or fails exactly once."""
    receiver, transport = Receiver(), Pretended()

    async def play():
        pool = Pool(ReplicaAddress("http://127.0.0.1:1", "g1", "e"), 1.0)
        connection = UpstreamConnection(pool)
        connection.connection_made(cast(asyncio.Transport, transport))
        connection.ask(receiver, b"request")
        text = b"".join(pieces)
        for at in range(0, len(text), cut):
            if transport.is_open:
                connection.data_received(text[at : at + cut])
        connection.connection_lost(None)
        assert not pool.connections
        assert connection not in pool.idle

    played(play())
    assert receiver.events[-1] in ("ended", "failed")
    assert receiver.events.count("begun") <= 1
    assert len(receiver.events) <= 2
