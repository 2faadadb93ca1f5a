"""Clients that read slowly or send much, replicas that fail while they hold much: what is held stays bounded."""

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from cuvee.serve.http_in import ClientConnection
from cuvee.serve.replicas_file import ReplicaAddress
from cuvee.serve.upstream import Failure, Pool, UpstreamConnection
from tests.serve.world import QUICK, Client, Engine, ask, chunk, completed, gateway, request, streamed, until, whole

CHUNKED = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_connection_to_a_replica_is_read_again_after_a_client_that_took_nothing():
    """The last piece of an answer finds its client full: the next request over that connection is answered.

    Tempting: the connection goes back as it is, and nobody ever reads the next reply.
    """

    async def play():
        async def full(engine, asked, writer):
            (connection,) = server.gateway.clients
            connection.is_paused = True  # as by the write of this very piece
            await completed(engine, asked, writer)

        engine = Engine(full)
        async with gateway([engine]) as server:
            client = await Client.to(server)
            assert (await client.ask()).status == 200
            server.gateway.clients.copy().pop().resume_writing()
            engine.answer = completed
            async with asyncio.timeout(5):
                assert (await ask(server)).status == 200
            assert server.gateway.serving.replicas[0].pool.num_opened == 1

    asyncio.run(play())


def test_all_that_fit_follow_a_heavy_request():
    """A request of 40 answers fills a replica that takes 16; after it as many light ones run as there is room for.

    Tempting: each end lets one in, so that one at a time runs for as long as somebody waits.
    """
    let_go = asyncio.Event()

    async def held(engine, asked, writer):
        if asked.json.get("n"):
            await let_go.wait()
        else:
            await asyncio.sleep(60)

    async def play():
        async with gateway([Engine(held)], max_concurrency=16) as server:
            router = server.gateway.serving.router
            heavy = await Client.to(server)
            heavy.send({"n": 40, "max_tokens": 4})
            await until(lambda: router.occupancy[0] > 1.25)
            for _ in range(8):
                (await Client.to(server)).send({"max_tokens": 4})
            line = server.gateway.serving.models["tiny"].line
            await until(lambda: line.length == 8)
            heavy.close()
            await until(lambda: not line.length)
            assert router.held == [8]

    asyncio.run(play())


@pytest.mark.parametrize("how", ["killed", "ill"])
def test_all_that_a_dead_replica_held_goes_elsewhere(how):
    """An engine is killed, or fails its probes, with forty requests not begun: the other answers them all.

    Tempting: each move costs one of the ten free retries, and thirty clients get 502 or wait for the dead one.
    """

    async def never(engine, asked, writer):
        await asyncio.sleep(60)

    async def play():
        dying, other = Engine(never), Engine(never)
        async with gateway([dying, other], options=replace(QUICK, probe_s=0.5, backoff_s=30.0)) as server:
            (replica, _) = server.gateway.serving.replicas
            for number in range(80):
                (await Client.to(server)).send({"prompt": str(number)})
            await until(lambda: len(dying.asked) + len(other.asked) == 80)
            held = len(dying.asked)
            assert held > 20
            other.answer = completed
            if how == "killed":
                await dying.stop()
            else:
                dying.is_well = False
            await until(lambda: not replica.is_up and not replica.held)
            (counters,) = server.gateway.counters.groups.values()
            await until(lambda: sum(counters.requests) == held)
            assert counters.requests[2] == held

    asyncio.run(play())


def test_what_a_dead_replica_held_and_nobody_takes_ends_at_once():
    """The only engine fails its probes: the request that it has not begun gets 502, long before its time is over."""

    async def never(engine, asked, writer):
        await asyncio.sleep(60)

    async def play():
        engine = Engine(never)
        async with gateway([engine], options=replace(QUICK, probe_s=0.5)) as server:
            client = await Client.to(server)
            client.send()
            await until(lambda: engine.asked)
            engine.is_well = False
            assert (await client.reply(10)).status == 502

    asyncio.run(play())


def test_a_replica_that_is_never_ready_is_left_out():
    """One that answers 503, which another replica makes good each time, counts as failing; the probes find it well."""

    async def busy(engine, asked, writer):
        writer.write(whole(503, b"{}"))

    async def play():
        async with gateway([Engine(busy), Engine()], options=replace(QUICK, probe_s=60.0)) as server:
            (replica, _) = server.gateway.serving.replicas
            client = await Client.to(server)
            for number in range(20):
                assert (await client.ask({"prompt": str(number)})).status == 200
            assert not replica.is_up

    asyncio.run(play())


class Pretended(asyncio.Transport):
    """The side of a client: keeps what is written, and notes what it is told."""

    def __init__(self) -> None:
        self.written = b""
        self.is_paused = self.is_ended = False

    def write(self, data):
        """Keep it."""
        self.written += data

    def get_write_buffer_size(self):
        """As if the client had taken nothing."""
        return len(self.written)

    def is_closing(self):
        """Whether it was closed."""
        return self.is_ended

    def pause_reading(self):
        """Note it."""
        self.is_paused = True

    def resume_reading(self):
        """Note it."""
        self.is_paused = False

    def can_write_eof(self):
        """As with TLS."""
        return False

    def close(self):
        """Note it."""
        self.is_ended = True

    abort = close


@asynccontextmanager
async def pretended(options=QUICK):
    """A connection of a client, its transport, and the gateway; the engine never answers."""

    async def never(engine, asked, writer):
        await asyncio.sleep(60)

    async with gateway([Engine(never)], options=options) as server:
        connection, transport = ClientConnection(server.gateway), Pretended()
        connection.connection_made(transport)
        yield connection, transport, server.gateway
        connection.connection_lost(None)
        assert server.gateway.buffered_bytes == 0


def test_bodies_sent_ahead_are_counted_and_not_read_on():
    """While one request is answered the next is kept and counted, and what follows it stays with the client."""
    text = request({"prompt": "x" * 100_000})

    async def play():
        async with pretended() as (connection, transport, counted):
            connection.data_received(text)
            assert not transport.is_paused
            assert counted.buffered_bytes == 0
            connection.data_received(text)
            assert transport.is_paused
            assert counted.buffered_bytes > 100_000

    asyncio.run(play())


def test_trailers_are_bounded():
    """What follows the last chunk is no body, and is refused as a head would be."""

    async def play():
        async with pretended() as (connection, transport, _):
            connection.data_received(CHUNKED + chunk(b"x") + b"0\r\nX: ")
            for _ in range(10):
                connection.data_received(b"a" * 10_000)
            assert transport.written.startswith(b"HTTP/1.1 431 ")

    asyncio.run(play())


def test_small_chunks_take_what_they_are_counted_for():
    """A body in chunks of two bytes is held as one piece, and its many frames are no head.

    Tempting: a list of pieces, twenty times as large as the gateway counts.
    """

    async def play():
        async with pretended() as (connection, transport, counted):
            connection.data_received(CHUNKED)
            for _ in range(20):
                connection.data_received(chunk(b"ab") * 5000)
            assert counted.buffered_bytes == 200_000
            assert sys.getsizeof(connection.body) < 300_000
            assert not transport.written

    asyncio.run(play())


def test_a_head_behind_a_large_body_is_no_large_head():
    """The first bytes of a request come with the last ones of a body larger than a head may be: it is read on."""
    large = request({"prompt": "x" * 40_000})
    at = len(large) + 20

    async def play():
        async with pretended() as (connection, transport, _):
            both = large + large
            connection.data_received(both[:at])
            connection.data_received(both[at:])
            assert [each.refusal for each in connection.ready] == [None]
            assert not transport.written

    asyncio.run(play())


def test_a_client_that_takes_nothing_gets_no_further_answers():
    """Requests sent ahead by a client whose buffer is full wait until it reads."""
    text = request(method="GET", path="/health")

    async def play():
        async with pretended() as (connection, transport, _):
            connection.pause_writing()
            connection.data_received(text * 5)
            await asyncio.sleep(0)
            assert transport.is_paused
            assert not transport.written
            connection.resume_writing()
            await until(lambda: transport.written.count(b"HTTP/1.1 200") == 5)
            assert not transport.is_paused

    asyncio.run(play())


def test_a_last_answer_gets_the_time_that_others_get():
    """What is left of an answer that ends its connection is held for a slow reader; without any the end comes soon."""

    async def play():
        async with pretended() as (connection, transport, gateway_of_it):
            connection.send(b"x" * 1000)
            connection.done(True)
            transport.is_ended = False
            connection.overdue(connection.since_s + 60)
            assert not transport.is_ended
            connection.overdue(connection.since_s + gateway_of_it.options.stalled_s + 1)
            assert transport.is_ended

    asyncio.run(play())


def test_a_kept_connection_that_ends_late_was_not_stale():
    """The end of a kept connection long after it was asked is a failure. Tempting: it was closed before."""

    class Told:
        failure = None

        def reply_fails(self, failure):
            self.failure = failure

    async def play():
        for waited_s, expected in ((0.0, Failure.STALE), (5.0, Failure.LOST)):
            pool = Pool(ReplicaAddress("http://a:1", "g", "a"), 1.0)
            connection, told = UpstreamConnection(pool), Told()
            connection.connection_made(Pretended())
            connection.uses = 1
            connection.ask(cast(Any, told), b"")
            connection.since_s -= waited_s
            connection.connection_lost(None)
            assert told.failure is expected

    asyncio.run(play())


def test_a_host_that_is_no_name_is_a_failure_and_no_silence():
    """Whatever a host makes the system say, the request is answered."""

    async def play():
        async with gateway([Engine()]) as server:
            pool = server.gateway.serving.replicas[0].pool
            pool.address = ReplicaAddress("http://a..b:8000", "g", "e")
            async with asyncio.timeout(5):
                assert (await ask(server)).status == 502

    asyncio.run(play())


def test_what_waits_for_a_connection_for_ever_is_ended():
    """A request without a connection to its replica ends as one that is never answered."""

    async def play():
        async with gateway([Engine()], options=replace(QUICK, first_byte_s=0.3)) as server:
            server.gateway.serving.replicas[0].pool.ask = lambda *_, **__: None
            async with asyncio.timeout(5):
                assert (await ask(server)).status == 504

    asyncio.run(play())


def test_a_closed_pool_keeps_nothing():
    """A connection that comes free once its replica is gone is closed, not left open for good."""

    async def play():
        pool, transport = Pool(ReplicaAddress("http://a:1", "g", "a"), 1.0), Pretended()
        connection = UpstreamConnection(pool)
        connection.connection_made(transport)
        pool.close()
        pool.keep(connection)
        assert transport.is_ended
        assert not pool.idle

    asyncio.run(play())


def test_an_answer_that_is_given_up_late_is_counted():
    """A client that hangs up, or a replica that does, after five tokens of a stream: they count, and the cut does.

    Tempting: only answers that end count, so that who leaves before the last word pays for nothing.
    """

    async def slowly(engine, asked, writer):
        await streamed(engine, asked, writer, gap_s=0.02)

    async def cut(engine, asked, writer):
        await streamed(engine, asked, writer, gap_s=0.02, cut_after=5)

    async def play():
        for answer, broken in ((slowly, 0), (cut, 1)):
            async with gateway([Engine(answer)]) as server:
                over: list[Any] = []
                server.gateway.ended.append(over.append)
                client = await Client.to(server)
                client.send({"stream": True, "max_tokens": 1000})
                await client.reader.readuntil(b'"n": 4')
                if not broken:
                    client.close()
                while not over:
                    await asyncio.sleep(0.01)
                (counters,) = server.gateway.counters.groups.values()
                assert counters.answer_tokens == over[0].num_events >= 5
                assert (counters.cancelled, counters.broken) == (1 - broken, broken)

    asyncio.run(play())
