"""What the HTTP side reads of a server, and what it tells of it."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from cuvee.profile.measure.answers import Answer
from cuvee.profile.measure.client import MOST_BODY_BYTES, SHOWN, open_client

KEY = "sk-0123456789abcdef"
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


def answers_with(status, kind, text):
    async def handler(_):
        return web.Response(status=status, content_type=kind, text=text)

    return handler


@pytest.mark.parametrize("before", [SHOWN - len(KEY) // 2, SHOWN - 1, 0, SHOWN - len(KEY)])
@pytest.mark.parametrize(
    ("status", "kind", "form"),
    [
        (500, "text/plain", "{}"),
        (401, "application/json", '{{"error": {{"message": "{}"}}}}'),
        (200, "text/html", "{}"),
        (200, "text/event-stream", "{}\n\n"),
        (200, "text/event-stream", 'data: {{"error": "{}"}}\n\n'),
    ],
)
def test_a_key_is_taken_out_before_words_are_cut(before, status, kind, form):
    """A server that repeats the key where its words are cut gives no part of it away."""

    async def use(client):
        answer = Answer(0, 1, 1, 0.0)
        await client.stream("/v1/completions", {}, answer, lambda _: None)
        return answer.failure_text

    told = asked(answers_with(status, kind, form.format("x" * before + KEY)), use, key=KEY)
    assert told
    assert len(told) <= SHOWN
    assert KEY[:3] not in told
