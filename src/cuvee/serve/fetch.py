"""A GET of the gateway's own, of limited size and time, over a connection of its own; redirections are not followed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    import ssl

FAILURES = (OSError, TimeoutError, ValueError)
"""What `get` raises."""


async def get(
    host: str,
    port: int,
    path: bytes,
    head: bytes,
    *,
    timeout_s: float,
    most_bytes: int,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """Status and body of the reply to a GET.

    Parameters
        head    Header lines, the Host among them.
    Raises      OSError, TimeoutError; ValueError: no reply in HTTP, or one of more than `most_bytes`.
    """
    reply = _Reply()
    parser = HttpResponseParser(reply)
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        try:
            writer.write(b"GET %b HTTP/1.1\r\n%bconnection: close\r\n\r\n" % (path, head))
            left = most_bytes
            while not reply.is_complete and (data := await reader.read(65_536)):
                left -= len(data)
                if left < 0:
                    raise ValueError(f"a reply of more than {most_bytes:,} bytes")
                parser.feed_data(data)
            return parser.get_status_code(), b"".join(reply.parts)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise ValueError(f"no HTTP: {error}") from None
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class _Reply:
    """What the parser finds."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.is_complete = False

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        self.parts.append(data)

    def on_message_complete(self) -> None:
        """All of it."""
        self.is_complete = True
