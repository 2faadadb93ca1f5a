"""What the HTTP side reads of a server, and what it tells of it."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from cuvee.profile.measure.client import MOST_BODY_BYTES, open_client

PIECE = b"x" * 1000


def asked(handler, use, *, key=None):
    """What `use` makes of a client of a server with one handler."""

    async def work():
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with open_client(f"http://127.0.0.1:{runner.addresses[0][1]}", key=key, timeout_s=5.0) as client:
                return await use(client)
        finally:
            await runner.cleanup()

    return asyncio.run(work())


def in_pieces(count):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionResetError):  # whoever has read enough hangs up
            for _ in range(count):
                await response.write(PIECE)
                await asyncio.sleep(0)
        return response

    return handler


@pytest.mark.parametrize(("count", "length"), [(60, 60_000), (MOST_BODY_BYTES // 1000 + 50, MOST_BODY_BYTES)])
def test_a_body_in_pieces_is_read_to_its_end(count, length):
    """/metrics of 60 kB comes in sixty pieces. Tempting: one read, which returns what has arrived by then."""
    status, text = asked(in_pieces(count), lambda client: client.ask("/metrics"))
    assert (status, len(text)) == (200, length)
