"""What is passed on: every byte of bodies, in time, over connections that are kept and that may be stale."""

import asyncio
import json

from tests.serve.world import (
    Client,
    Engine,
    ask,
    chunk,
    gateway,
    played,
    request,
    streamed,
    two_types,
    until,
    whole,
    with_copies,
)


def test_bodies_arrive_byte_by_byte():
    """Request and reply bodies are passed on unchanged, whatever bytes JSON allows; the reply names its group."""
    answer = json.dumps({"text": "ÿ\u2028 \\u0000"}, ensure_ascii=False).encode() + b"\n\n "

    async def odd(engine, asked, writer):
        writer.write(whole(200, answer, b"x-engine: yes"))

    async def play():
        engine = Engine(odd)
        async with gateway([engine]) as server:
            client = await Client.to(server)
            body = b' {"model" : "tiny",\t"prompt":"\\u00e9\xc3\xa9", "extra": [1.50, 1e3]} '
            client.writer.write(
                b"POST /v1/completions?a=b%%20c HTTP/1.1\r\nHost: x\r\nX-Mine: 1\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            reply = await client.reply()
            assert reply.body == answer
            assert reply.headers["x-engine"] == "yes"
            assert reply.headers["x-cuvee-group"] == "g1"
            (asked,) = engine.asked
            assert asked.body == body
            assert asked.line == "POST /v1/completions?a=b%20c HTTP/1.1"
            assert ("X-Mine", "1") in asked.headers
            client.close()

    played(play())


def test_events_arrive_as_they_are_made():
    """The first event of a stream is there long before the last; chunks stay as the engine cut them."""

    async def slow(engine, asked, writer):
        await streamed(engine, asked, writer, gap_s=0.1)

    async def play():
        async with gateway([Engine(slow)]) as server:
            client = await Client.to(server)
            client.send({"stream": True, "max_tokens": 4})
            loop = asyncio.get_running_loop()
            await client.reader.readuntil(b'{"n": 0}\n\n')
            first_s = loop.time()
            rest = await client.reader.readuntil(b"0\r\n\r\n")
            assert loop.time() - first_s > 0.2
            assert (
                rest
                == b"\r\n"
                + b"".join(chunk(b'data: {"n": %d}\n\n' % number) for number in (1, 2, 3))
                + chunk(b"data: [DONE]\n\n")
                + b"0\r\n\r\n"
            )
            client.close()

    played(play())


def test_an_engine_may_close_after_each_stream():
    """Some engines close the connection after a stream: the client's stays open, and the next request is served."""

    async def closing(engine, asked, writer):
        await streamed(engine, asked, writer, closes=True)

    async def play():
        engine = Engine(closing)
        async with gateway([engine]) as server:
            client = await Client.to(server)
            for _ in range(5):
                reply = await client.ask({"stream": True})
                assert reply.status == 200
                assert "connection" not in reply.headers
                assert reply.body.endswith(b"data: [DONE]\n\n")
            assert engine.num_connections >= 5
            client.close()

    played(play())


def test_a_stale_connection_is_no_failure():
    """An engine that hangs up on kept connections when the next request comes costs nobody anything."""
    calls = []

    async def once(engine, asked, writer):
        calls.append(writer)
        if calls.count(writer) > 1:
            writer.transport.abort()
            return
        writer.write(whole(200, b"{}"))

    async def play():
        engine = Engine(once)
        async with gateway([engine]) as server:
            client = await Client.to(server)
            assert [(await client.ask()).status for _ in range(6)] == [200] * 6
            assert server.gateway.counters.stale_connections >= 2
            assert server.gateway.counters.ejections == 0
            client.close()

    played(play())


def test_an_answer_that_ends_with_its_connection():
    """A reply without a length ends when the engine closes, and so does the client's connection."""

    async def endless(engine, asked, writer):
        writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it")
        await writer.drain()
        writer.close()

    async def play():
        async with gateway([Engine(endless)]) as server:
            client = await Client.to(server)
            reply = await client.ask()
            assert (reply.body, reply.headers["connection"]) == (b"all of it", "close")
            assert await client.is_closed()

    played(play())


def test_pipelined_requests_are_answered_in_order():
    """Requests that are sent ahead get their answers one after the other, though the first takes longest."""

    async def by_size(engine, asked, writer):
        await asyncio.sleep(0.05 if asked.json["max_tokens"] == 1 else 0)
        writer.write(whole(200, b"%d" % asked.json["max_tokens"]))

    async def play():
        async with gateway([Engine(by_size)]) as server:
            client = await Client.to(server)
            client.writer.write(b"".join(request({"max_tokens": number}) for number in (1, 2, 3)))
            assert [(await client.reply()).body for _ in range(3)] == [b"1", b"2", b"3"]
            client.close()

    played(play())


def test_a_failed_replica_is_replaced_while_the_client_has_nothing():
    """A replica that hangs up before its reply costs a retry on another one, and the client sees one good answer."""

    async def hang_up(engine, asked, writer):
        writer.transport.abort()

    async def play():
        bad, good = Engine(hang_up), Engine()
        async with gateway([bad, good]) as server:
            statuses = [(await ask(server)).status for _ in range(6)]
            assert statuses == [200] * 6
            assert server.gateway.counters.retries >= 1

    played(play())


def test_nothing_is_answered_twice():
    """Once a byte has reached the client there is no retry: the stream ends with an error, cut off."""

    async def cut(engine, asked, writer):
        await streamed(engine, asked, writer, cut_after=2, gap_s=0.02)

    async def play():
        engines = [Engine(cut), Engine(cut)]
        async with gateway(engines) as server:
            client = await Client.to(server)
            client.send({"stream": True, "max_tokens": 4})
            data = b""
            while more := await client.reader.read(1000):
                data += more
            assert data.count(b'"n"') == 2
            assert b'"type":"server_error"' in data
            assert not data.endswith(b"0\r\n\r\n")
            assert sum(len(engine.asked) for engine in engines) == 1

    played(play())


def test_a_client_that_leaves_cancels_the_engine():
    """When a client hangs up, in mid-stream or before, the engine's connection ends."""
    gone = []

    async def watch(engine, asked, writer):
        if asked.json.get("stream"):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"data: {}\n\n"))
        while not writer.transport.is_closing():
            await asyncio.sleep(0.01)
            writer.write(chunk(b"data: {}\n\n")) if asked.json.get("stream") else None
            await asyncio.sleep(0.01)
        gone.append(asked)

    async def play():
        engine = Engine(watch)
        async with gateway([engine]) as server:
            for stream in (False, True):
                client = await Client.to(server)
                client.send({"stream": stream})
                await until(lambda: engine.asked)
                if stream:
                    await client.reader.readuntil(b"data: {}")
                client.close()
                await until(lambda: not server.gateway.exchanges)
                engine.asked.clear()
            await until(lambda: not any(replica.pool.connections for replica in server.gateway.serving.replicas))
            router = server.gateway.serving.router
            assert router.held == [0]

    played(play())


def test_shares_are_those_of_the_plan():
    """Of 500 requests of each type every group gets its share within half a point."""
    plan = two_types()

    async def play():
        engines = [Engine() for _ in range(sum(group.copies for group in plan.groups))]
        ids = [group.id for group in plan.groups for _ in range(group.copies)]
        async with gateway(engines, with_copies(plan, len(engines) // len(plan.groups), len(plan.groups))) as server:
            server.gateway.serving.router.shares = [
                [row.shares.get(group.id, 0.0) for group in plan.groups] for row in plan.assignment
            ]
            client = await Client.to(server)
            for row in plan.assignment:
                prompt = "word" * round(row.input_tokens)
                counts = dict.fromkeys(ids, 0)
                for _ in range(500):
                    reply = await client.ask(
                        {"prompt": prompt, "max_tokens": round(row.output_tokens), "ignore_eos": True}
                    )
                    counts[reply.headers["x-cuvee-group"]] += 1
                for group, count in counts.items():
                    assert abs(count / 500 - row.shares.get(group, 0.0)) <= 0.005
            client.close()

    played(play())
