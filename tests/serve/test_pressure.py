"""Clients that read slowly or send much, replicas that fail while they hold much: what is held stays bounded."""

import asyncio
from dataclasses import replace

import pytest

from tests.serve.world import QUICK, Client, Engine, ask, completed, gateway, until, whole


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
