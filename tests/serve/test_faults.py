"""Replicas that die, hang or dawdle, clients that leave or hardly read: nobody waits for ever."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.serve.world import (
    QUICK,
    Client,
    Engine,
    ask,
    chunk,
    completed,
    gateway,
    played,
    request,
    streamed,
    two_types,
    until,
    whole,
    with_copies,
    words,
)


class EngineProcess:
    """An engine in a process of its own, to be killed or stopped."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("engine.py")
        self.process = subprocess.Popen([sys.executable, "-S", str(program)], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def signal(self, number):
        self.process.send_signal(number)

    async def stop(self):
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def open_files() -> int:
    """Open files of this process, 0 where the system does not say."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


async def load(server, number, record=None, at_once=8):
    """Requests over kept connections, `at_once` under way; the statuses that came, 0 for a cut connection."""
    statuses: Counter[int] = Counter()
    left = iter(range(number))

    async def one():
        client = await Client.to(server)
        for _ in left:
            try:
                statuses[(await client.ask(record)).status] += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                statuses[0] += 1
                client = await Client.to(server)

    await asyncio.gather(*[one() for _ in range(at_once)])
    return statuses


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_replica_that_dies_or_hangs_under_load(number):
    """Every request is answered well, those that were on the replica by another one, and the replica is left out."""

    async def play():
        bad, good = EngineProcess(), Engine()
        try:
            async with gateway([bad, good], options=replace(QUICK, probe_s=0.5)) as server:
                (replica, _) = server.gateway.serving.replicas
                working = asyncio.create_task(load(server, 400))
                await until(lambda: replica.num_requests > 20)
                bad.signal(number)
                assert await working == {200: 400}
                await until(lambda: not replica.is_up)
                assert server.gateway.counters.ejections >= 1
                assert not server.gateway.exchanges
        finally:
            await bad.stop()

    played(play())


def test_a_replica_that_comes_back_is_used_again():
    """One whose port is closed is left out at once; once it listens again it gets its share."""

    async def play():
        engines = [Engine(), Engine()]
        async with gateway(engines) as server:
            first = server.gateway.serving.replicas[0]
            assert await load(server, 20) == {200: 20}
            await engines[0].stop()
            assert await load(server, 20) == {200: 20}
            await until(lambda: not first.is_up)
            await engines[0].start()
            await until(lambda: first.is_up)
            before = len(engines[0].asked)
            assert await load(server, 40) == {200: 40}
            assert len(engines[0].asked) > before

    played(play())


def test_a_replica_that_answers_errors_is_left_out():
    """Three server errors in a row are passed on and eject the replica; probes that work bring it back."""

    async def fail(engine, asked, writer):
        writer.write(whole(500, b"{}"))

    async def play():
        bad, good = Engine(fail), Engine()
        bad.is_well = False
        async with gateway([bad, good]) as server:
            statuses = await load(server, 40, at_once=1)
            assert statuses[500] <= 3
            assert statuses[200] >= 37

    played(play())


@pytest.mark.parametrize(("status", "num_out"), [(501, 0), (500, 1)])
def test_requests_that_make_any_engine_fail_take_no_model_down(status, num_out):
    """Statuses leave half of the replicas in: what one client asks in vain does not refuse the others.

    501 says nothing of the replica. Tempting: each is left out after three, and everybody gets 503.
    """

    async def fail(engine, asked, writer):
        writer.write(whole(status, b"{}"))

    async def play():
        async with gateway([Engine(fail), Engine(fail)]) as server:
            assert await load(server, 30, at_once=1) == {status: 30}
            assert sum(not each.is_up for each in server.gateway.serving.replicas) == num_out

    played(play())


def test_a_replica_that_is_not_ready_is_passed_over():
    """A reply of 503 goes to no client while another replica can answer."""

    async def busy(engine, asked, writer):
        writer.write(whole(503, b"{}"))

    async def play():
        async with gateway([Engine(busy), Engine()]) as server:
            assert await load(server, 10, at_once=2) == {200: 10}
        async with gateway([Engine(busy)]) as server:
            assert (await ask(server)).status == 503

    played(play())


def test_nobody_up_is_said_at_once():
    """Where no replica of a model is up, requests get 503 with Retry-After, and /health says so."""

    async def play():
        engine = Engine()
        async with gateway([engine]) as server:
            await engine.stop()
            await ask(server)
            await until(lambda: not server.gateway.serving.replicas[0].is_up)
            reply = await ask(server)
            assert (reply.status, reply.json["error"]["code"]) == (503, "no_replica")
            assert "retry-after" in reply.headers
            assert (await ask(server, None, "/health", method="GET")).status == 503

    played(play())


def test_a_slow_replica_is_not_drowned():
    """Of two replicas with equal shares, one ten times slower, the slow one gets far less once it is full."""

    async def slow(engine, asked, writer):
        await asyncio.sleep(0.1)
        await completed(engine, asked, writer)

    async def quick(engine, asked, writer):
        await asyncio.sleep(0.01)
        await completed(engine, asked, writer)

    async def play():
        engines = [Engine(slow), Engine(quick)]
        async with gateway(engines, max_concurrency=8) as server:
            assert await load(server, 300, at_once=12) == {200: 300}
            assert len(engines[0].asked) < 120

    played(play())


def test_a_full_line_is_said_and_a_long_wait_ends():
    """Of four requests to a replica that takes one, one is served, two wait too long, and one is refused at once."""

    async def held(engine, asked, writer):
        await asyncio.sleep(1.0)
        await completed(engine, asked, writer)

    async def play():
        options = replace(QUICK, queue=2, queue_s=0.3)
        async with gateway([Engine(held)], options=options, max_concurrency=1) as server:
            clients = [await Client.to(server) for _ in range(4)]
            for client in clients:
                client.send()
                await asyncio.sleep(0.02)
            replies = [await client.reply() for client in clients]
            assert [reply.status for reply in replies] == [200, 503, 503, 429]
            assert replies[1].json["error"]["code"] == "queue_timeout"
            assert replies[3].json["error"]["code"] == "queue_full"
            assert int(replies[3].headers["retry-after"]) >= 1
            client = await Client.to(server)
            client.send()
            waiting = await Client.to(server)
            waiting.send()
            await until(lambda: server.gateway.serving.models["tiny"].line.length)
            waiting.close()
            await until(lambda: not server.gateway.serving.models["tiny"].line.length)
            assert (await client.reply()).status == 200

    played(play())


def test_who_waits_holds_up_nobody_of_another_type():
    """While wordy requests wait for their full group, a brief one is answered by its own.

    Tempting: one line for all, in which it would wait until the full group is done.
    """
    wordy = {"prompt": words(300), "max_tokens": 400, "min_tokens": 400}
    brief = {"prompt": words(1000), "max_tokens": 50, "min_tokens": 50}
    release = asyncio.Event()

    async def held(engine, asked, writer):
        await release.wait()
        await completed(engine, asked, writer)

    async def play():
        plan = with_copies(two_types(), 1, 2)
        first, second = (group.id for group in plan.groups)
        shares = {"brief": {second: 1.0}, "wordy": {first: 1.0}}
        plan = replace(plan, assignment=tuple(replace(row, shares=shares[row.workload]) for row in plan.assignment))
        async with gateway([Engine(held), Engine()], plan, max_concurrency=1) as server:
            clients = [await Client.to(server) for _ in range(2)]
            for client in clients:
                client.send(wordy)
            await until(lambda: server.gateway.serving.models["tiny"].line.length == 1)
            assert (await ask(server, brief)).headers["x-cuvee-group"] == second
            release.set()
            assert [(await client.reply()).headers["x-cuvee-group"] for client in clients] == [first, first]

    played(play())


def test_who_waits_is_served_in_order():
    """Ten requests to a replica that takes one at a time are answered in the order of their arrival."""
    order = []

    async def one(engine, asked, writer):
        order.append(asked.json["max_tokens"])
        await asyncio.sleep(0.005)
        await completed(engine, asked, writer)

    async def play():
        async with gateway([Engine(one)], max_concurrency=1) as server:
            clients = [await Client.to(server) for _ in range(10)]
            for number, client in enumerate(clients):
                client.send({"max_tokens": number + 1})
                await asyncio.sleep(0.002)
            assert [(await client.reply()).status for client in clients] == [200] * 10
            assert order == list(range(1, 11))

    played(play())


def test_a_reply_that_never_begins_ends():
    """A replica that is well and never answers costs its client a 504 in time; one that stops in between, a cut."""

    async def never(engine, asked, writer):
        if asked.json.get("stream"):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"data: {}\n\n"))
        await asyncio.sleep(60)

    async def play():
        async with gateway([Engine(never)], options=replace(QUICK, first_byte_s=0.3, silent_s=0.3)) as server:
            assert (await ask(server)).status == 504
            client = await Client.to(server)
            client.send({"stream": True})
            data = await asyncio.wait_for(client.reader.read(), 5)
            assert b'"upstream_error"' in data
            assert not data.endswith(b"0\r\n\r\n")

    played(play())


def test_a_client_that_hardly_reads_holds_up_nobody():
    """While one client takes nothing of a long answer, its engine is held back, and others are served."""
    sent = []

    async def long(engine, asked, writer):
        if asked.json["prompt"] != "long":
            await completed(engine, asked, writer)
            return
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(2000):
            writer.write(chunk(b"data: {" + b"x" * 10_000 + b"}\n\n"))
            await writer.drain()
            sent.append(1)
        writer.write(b"0\r\n\r\n")

    async def play():
        async with gateway([Engine(long)]) as server:
            slow = await Client.to(server)
            slow.writer.transport.pause_reading()
            slow.send({"prompt": "long", "stream": True})
            await until(lambda: server.gateway.exchanges and any(client.is_paused for client in server.gateway.clients))
            before = len(sent)
            assert await load(server, 20) == {200: 20}
            assert len(sent) <= before + 5 < 2000
            slow.writer.transport.resume_reading()
            data = b""
            while not data.endswith(b"0\r\n\r\n"):
                data = (data + await slow.reader.read(1_000_000))[-10:]
            await until(lambda: not server.gateway.exchanges)

    played(play())


def test_many_idle_connections_cost_nothing():
    """A thousand connections without a request stand by, and others are served as before."""

    async def play():
        async with gateway([Engine()], options=replace(QUICK, idle_s=30.0)) as server:
            idle = [await asyncio.open_connection(*server.address) for _ in range(1000)]
            await until(lambda: len(server.gateway.clients) == 1000)
            assert await load(server, 50) == {200: 50}
            for _, writer in idle:
                writer.close()
            for _, writer in idle:
                await writer.wait_closed()
            await until(lambda: not [each for each in server.gateway.clients if each.answering is None] or True)

    played(play())


def test_more_clients_than_allowed_are_told():
    """Beyond the limit of connections a client gets 503 and the end of its connection."""

    async def play():
        async with gateway([Engine()], options=replace(QUICK, connections=2)) as server:
            clients = [await Client.to(server) for _ in range(3)]
            reply = await clients[2].reply()
            assert (reply.status, reply.headers["connection"]) == (503, "close")
            assert (await clients[0].ask()).status == 200

    played(play())


def test_a_drain_finishes_what_runs():
    """Told to end, the gateway ends idle connections at once, answers what is under way, and takes nothing new."""

    async def slow(engine, asked, writer):
        await streamed(engine, asked, writer, gap_s=0.05)

    async def play():
        async with gateway([Engine(slow)]) as server:
            idle, busy = await Client.to(server), await Client.to(server)
            busy.send({"stream": True, "max_tokens": 6})
            await busy.reader.readuntil(b"data:")
            draining = asyncio.create_task(server.drain())
            assert await idle.is_closed()
            rest = await busy.reader.read()
            assert rest.endswith(b"0\r\n\r\n")
            await draining
            with pytest.raises(OSError, match=r"."):
                await asyncio.open_connection(*server.address)

    played(play())


def test_a_drain_ends_in_time():
    """What does not finish within the time for it is cut off."""

    async def never(engine, asked, writer):
        await asyncio.sleep(60)

    async def play():
        async with gateway([Engine(never)], options=replace(QUICK, drain_s=0.3)) as server:
            client = await Client.to(server)
            client.send()
            await until(lambda: server.gateway.exchanges)
            await asyncio.wait_for(server.drain(), 5)
            assert await client.is_closed()

    played(play())


def test_retries_are_bounded():
    """When every replica hangs up, a request is sent three times at most, and retries soon end for all."""

    async def hang_up(engine, asked, writer):
        writer.transport.abort()

    async def play():
        engines = [Engine(hang_up) for _ in range(4)]
        options = replace(QUICK, failures=10_000, retry_share=0.1)
        async with gateway(engines, options=options) as server:
            for engine in engines:
                engine.answer = completed
            for number in range(40):  # so that there are connections that are kept
                assert (await ask(server, {"prompt": str(number)})).status == 200
            assert all(engine.asked for engine in engines)
            for engine in engines:
                engine.answer = hang_up
                engine.asked.clear()
            assert (await ask(server)).status == 502
            assert sum(len(engine.asked) for engine in engines) == 3
            for _ in range(60):
                assert (await ask(server)).status == 502
            assert server.gateway.counters.retries <= 10 + 0.1 * 61

    played(play())


def test_a_group_that_dies_gives_its_share_away():
    """With two groups, one down, the shares are settled anew, and settled back when it returns."""

    async def play():
        plan = two_types()
        engines = [Engine() for _ in plan.groups]
        async with gateway(engines, with_copies(plan, 1, len(plan.groups))) as server:
            serving = server.gateway.serving
            await engines[0].stop()
            await until(lambda: not serving.replicas[0].is_up)
            await until(lambda: all(row[0] == 0 for row in serving.router.shares))
            assert await load(server, 20) == {200: 20}
            await engines[0].start()
            await until(lambda: serving.replicas[0].is_up and serving.router.shares is serving.planned)

    played(play())


def test_what_is_sent_ahead_of_a_malformed_request_is_answered():
    """A good request before a bad one on the same connection gets its answer, then the bad one its error."""

    async def play():
        async with gateway([Engine()]) as server:
            client = await Client.to(server)
            client.writer.write(request() + b"NONSENSE\r\n\r\n")
            assert [(await client.reply()).status for _ in range(2)] == [200, 400]
            assert await client.is_closed()

    played(play())


def test_memory_of_descriptors_is_given_back():
    """After hundreds of requests, some cancelled, no connection, request or file descriptor is left over."""

    async def play():
        async with gateway([Engine(), Engine()]) as server:
            await load(server, 50)
            before = open_files()
            for _ in range(30):
                client = await Client.to(server)
                client.send({"stream": True, "max_tokens": 50})
                await client.reader.read(10)
                client.close()
            await load(server, 200)
            await until(lambda: not server.gateway.exchanges)
            router = server.gateway.serving.router
            assert router.held == [0, 0]
            assert router.occupancy == [pytest.approx(0), pytest.approx(0)]
            await until(lambda: open_files() < before + 60)

    played(play())
