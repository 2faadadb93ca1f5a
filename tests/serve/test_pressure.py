"""Clients that read slowly or send much, replicas that fail while they hold much: what is held stays bounded."""

import asyncio

from tests.serve.world import Client, Engine, ask, completed, gateway


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
            assert engine.num_connections == 1

    asyncio.run(play())
