"""The HTTP side: one connection a request, streamed; nothing is ever sent twice."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cuvee.errors import InputError, MissingExtraError
from cuvee.profile.measure.answers import Answer, EventReader, StreamError, error_text

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

ASK_TIMEOUT_S = 5.0
"""Longest wait for what a server says of itself [s]."""

CONNECT_TIMEOUT_S = 30.0
MOST_BODY_BYTES = 4_000_000
LARGEST_EVENT_BYTES = 2**18
SHOWN = 200
"""Characters of a server's own words that a message repeats [-]."""


class Client:
    """Requests to one endpoint; made by `open_client`.

    Attributes
        url    Root of the server, without "/v1".
    """

    def __init__(self, session: "ClientSession", url: str, secret: str, timeout_s: float) -> None:
        self.url = url
        self._session = session
        self._secret = secret
        self._timeout_s = timeout_s

    async def stream(self, path: str, body: dict[str, Any], answer: Answer, heard: Callable[[float], None]) -> None:
        """Send one request and read its answer into `answer`; a failure is noted there, never raised.

        Parameters
            heard    Called with the time of each piece of the answer [s].
        Notes        The clock of an answer starts when its connection stands.
        """
        import aiohttp

        try:
            await self._stream(path, body, answer, heard)
        except StreamError as error:
            self._fail(answer, error.kind, error.text)
        except TimeoutError:
            self._fail(answer, "timeout", f"no byte within {self._timeout_s:g} s")
        except aiohttp.ClientConnectorError as error:
            self._fail(answer, "no connection", _reason(error))
        except (aiohttp.ClientError, OSError) as error:
            self._fail(answer, "connection lost", _reason(error))

    def _fail(self, answer: Answer, kind: str, text: str) -> None:
        answer.failure = kind
        answer.failure_text = self.cleaned(text)
        answer.ended_s = asyncio.get_running_loop().time()

    def cleaned(self, text: str) -> str:
        """`text` on one line, without the key, and only then short: the beginning of a key that is cut is told, too."""
        if self._secret:
            text = text.replace(self._secret, "***")
        return " ".join(text.split())[:SHOWN]

    async def _stream(self, path: str, body: dict[str, Any], answer: Answer, heard: Callable[[float], None]) -> None:
        loop = asyncio.get_running_loop()
        async with self._session.post(
            self.url + path, json=body, allow_redirects=False, trace_request_ctx=answer
        ) as response:
            await self._require_stream(response)
            reader = EventReader(answer)
            async for data in response.content.iter_any():
                now_s = loop.time()
                for _ in range(reader.feed(data, now_s)):
                    heard(now_s)
            reader.close(loop.time())

    async def _require_stream(self, response: "ClientResponse") -> None:
        if response.status == 200 and response.content_type == "text/event-stream":
            return
        text = (await _body(response, LARGEST_EVENT_BYTES)).decode(errors="replace")
        if response.status == 200:
            raise StreamError("not streamed", f"{response.content_type}: {text}")
        if 300 <= response.status < 400:
            text = f"redirects to {response.headers.get('Location', 'nowhere')}"
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        raise StreamError(f"HTTP {response.status}", error_text(found) if isinstance(found, dict) else text)

    async def ask(self, path: str) -> tuple[int, str]:
        """Status and text of what the server says at `path`.

        Raises      InputError: there is no server.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)
        try:
            async with self._session.get(self.url + path, timeout=timeout, allow_redirects=False) as response:
                body = await _body(response, MOST_BODY_BYTES)
                return response.status, body.decode(errors="replace")
        except aiohttp.ClientConnectorError as error:
            raise InputError(
                f"no server at {self.url} ({_reason(error)})",
                expected="an OpenAI-compatible endpoint that answers",
                remedy="start the engine, or check the address",
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, _reason(error)


def _reason(error: Exception) -> str:
    """Why there was no connection or no more of it, in the words of the system; a library's own are of no use."""
    import aiohttp

    cause = getattr(error, "os_error", None) or error
    if isinstance(error, aiohttp.ClientSSLError):
        return "no trusted encryption"
    if isinstance(cause, OSError) and cause.errno:
        # The system's own words: asyncio puts "Connect call failed (...)" in their place.
        return (os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or "no such host").lower()
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return "it does not speak HTTP" if isinstance(error, aiohttp.ClientResponseError) else "the network failed"


async def _body(response: "ClientResponse", most_bytes: int) -> bytes:
    """The body, however many pieces it comes in, up to `most_bytes`."""
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) >= most_bytes:
            break
    return bytes(found[:most_bytes])


@asynccontextmanager
async def open_client(url: str, *, key: str | None, timeout_s: float) -> AsyncIterator[Client]:
    """A client of the endpoint at `url`.

    Parameters
        key          Sent as a bearer token, and never told or written.
        timeout_s    Longest wait for the next byte of an answer [s].
    Raises           MissingExtraError: aiohttp is not installed; InputError: no such address.
    """
    try:
        import aiohttp
    except ImportError:
        raise MissingExtraError("measuring an endpoint", "measure") from None
    root = endpoint_root(url)

    async def stands(_: Any, context: Any, __: Any) -> None:  # noqa: ANN401 as aiohttp calls it
        if isinstance(context.trace_request_ctx, Answer):
            context.trace_request_ctx.started_s = asyncio.get_running_loop().time()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(stands)
    async with aiohttp.ClientSession(
        # Engines close streams as they like, and a request on a connection that is being closed would have to be sent
        # twice.
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=timeout_s),
        headers={"Authorization": f"Bearer {key}"} if key else None,
        trace_configs=[trace],
        read_bufsize=LARGEST_EVENT_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield Client(session, root, key or "", timeout_s)


def endpoint_root(url: str) -> str:
    """Root of a server, from its address as people give it: with or without "/v1", or down to the call.

    Raises      InputError: no http or https address, or one that may hold a secret; none is repeated.
    """
    expected, remedy = "http://HOST:PORT or https://HOST", "e.g. http://localhost:8000"
    key = "name the environment variable that holds the key: --api-key-env NAME"
    # What is no address cannot be split, and even then a password stands before the "@", or a key behind the "?".
    if "@" in url:
        raise InputError('an address with a password or other "@" in it', expected=expected, remedy=key)
    shown = url[: min([url.index(mark) for mark in "?#" if mark in url], default=len(url))]
    if shown != url:
        raise InputError(f'address {shown!r} with more behind "?" or "#"', expected=expected, remedy=key)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"address {url!r}", expected=expected, remedy=remedy)
    path = parts.path.rstrip("/")
    for end in ("/chat/completions", "/completions", "/v1"):
        path = path.removesuffix(end)
    return f"{parts.scheme}://{parts.netloc}{path}"
