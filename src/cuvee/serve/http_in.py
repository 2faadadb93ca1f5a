"""The side of the clients: one HTTP/1.1 connection, parsed strictly, one request after the other.

llhttp refuses what could be read in two ways: both lengths, two lengths, folded lines, bare line feeds, odd chunks.
What it lets pass and we do not take is refused here: codings other than chunked, two hosts, versions not 1.0 or 1.1.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from cuvee.serve.headers import SPECIAL
from cuvee.serve.replies import error_body, reply
from cuvee.serve.request import Answering, Request

if TYPE_CHECKING:
    from cuvee.serve.options import ServeOptions

MOST_HEADERS = 128
MOST_URL_BYTES = 4096
MOST_PIPELINED = 16
"""Requests that a client may send ahead [-]."""

LINGER_S = 2.0
"""How long a connection is read on after an answer that ends it, so that the client sees the answer [s]."""

NOT_COUNTED = -1
"""Size of a head that began in this read, behind what came before it."""

# What a connection waits for.
IDLE, HEAD, BODY = range(3)


class Handler(Protocol):
    """What requests are given to."""

    options: ServeOptions
    clients: set[ClientConnection]
    buffered_bytes: int
    is_draining: bool

    def handle(self, client: ClientConnection, request: Request) -> None:
        """Answer `request` through `client`, now or later; ends with `client.done`."""

    def turn_away(self, request: Request, status: int, code: str) -> None:
        """A request, or a connection, was refused here."""


class RefusedError(Exception):
    """Raised in callbacks of the parser: the refusal is in the request."""


class ClientConnection(asyncio.Protocol):
    """One connection of a client."""

    __slots__ = (
        "answering", "body", "body_size", "handler", "head_size", "is_deaf", "is_ending", "is_paused", "length",
        "lines", "parser", "read_size", "reading_paused", "ready", "request", "resumed", "saw_coding", "saw_host",
        "since_s", "state", "transport", "url",
    )  # fmt: skip

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.parser = HttpRequestParser(self)
        self.answering: Answering | None = None
        self.ready: deque[Request] = deque()
        self.request: Request | None = None
        self.state = IDLE
        self.since_s = monotonic()
        self.is_deaf = False
        self.is_ending = False
        self.is_paused = False
        self.resumed: Request | None = None
        self.reading_paused = False
        self.body: bytes | bytearray = b""
        self.body_size = 0
        self.head_size = self.read_size = 0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        clients = self.handler.clients
        clients.add(self)
        if len(clients) > self.handler.options.connections or self.handler.is_draining:
            self.handler.turn_away(Request(), 503, "too_many_connections")
            body = error_body(503, "too_many_connections", "the gateway takes no more connections")
            self.transport.write(reply(503, body, headers=b"retry-after: 1\r\n", closes=True))
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_deaf = self.is_ending = True
        self.handler.clients.discard(self)
        self._drop_body()
        self.handler.buffered_bytes -= sum(request.held_bytes for request in self.ready)
        self.ready.clear()
        if self.answering is not None:
            self.answering.client_gone()

    def pause_writing(self) -> None:
        self.is_paused = True
        self.since_s = monotonic()
        self._stop_reading()
        if self.answering is not None:
            self.answering.pause()

    def resume_writing(self) -> None:
        self.is_paused = False
        if self.answering is not None:
            self.answering.resume()
        else:
            self._next()
        if not self.ready:
            self._read_on()

    def data_received(self, data: bytes) -> None:
        if self.is_deaf:
            return
        self.read_size = size = len(data)
        before = self.body_size
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._skip_upgrade(data[upgrade.args[0] :])
        except HttpParserError as error:
            self._malformed(error)
        if self.state != IDLE and self.request is not None:
            self._count_head(size, before)
        if self.ready:
            if self.answering is None:
                self._next()
            else:
                self._stop_reading()  # what is sent ahead waits in the client's system

    # What the parser calls.

    def on_message_begin(self) -> None:
        self.request = request = Request()
        self.lines = request.head
        self.url = b""
        self.head_size = NOT_COUNTED
        self.saw_coding = self.saw_host = False
        self.length = 0
        if self.answering is None and not self.ready:
            self.since_s = monotonic()
        self.state = HEAD

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MOST_URL_BYTES:
            self.refuse(431, "url_too_long", "the url is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.state != HEAD:
            return  # a trailer: nothing here needs one
        take = SPECIAL.get(name.lower())
        if take is None:
            self.lines += (name, b": ", value, b"\r\n")
        else:
            take(self, cast(Request, self.request), value)

    def on_headers_complete(self) -> None:
        request = cast(Request, self.request)
        parser = self.parser
        version = parser.get_http_version()
        lines = self.lines
        most = self.handler.options.head_bytes
        if len(lines) > 4 * MOST_HEADERS or (self.read_size > most and sum(map(len, lines)) > most):
            self.refuse(431, "headers_too_large", "the head of the request is too large")
        request.method = parser.get_method()
        request.path, _, request.query = self.url.partition(b"?")
        request.is_close = not parser.should_keep_alive()
        if version != "1.1":
            if version != "1.0":
                self.refuse(505, "http_version", "HTTP/1.1 and HTTP/1.0 are spoken here")
            if self.saw_coding:
                self.refuse(400, "bad_request", "HTTP/1.0 has no transfer codings")
            request.is_close = request.is_old = True
        elif not self.saw_host:
            self.refuse(400, "bad_request", "a request needs a Host header")
        if not request.path.startswith(b"/"):
            self.refuse(400, "bad_request", "the target of a request has to be a path")
        if request.named:
            request.drop_named()
        if self.resumed is not None:
            self.request, self.resumed = self.resumed, None
        self.state = BODY

    def on_body(self, data: bytes) -> None:
        size = len(data)
        self.body_size += size
        handler = self.handler
        handler.buffered_bytes += size
        if self.body_size > handler.options.body_bytes:
            self.refuse(413, "body_too_large", f"the body is larger than {handler.options.body_bytes:,} bytes")
        if handler.buffered_bytes > handler.options.buffered_bytes:
            self.refuse(503, "overloaded", "too many bodies are being received; try again later")
        body = self.body
        if not body:
            self.body = data
        elif isinstance(body, bytearray):
            body += data
        else:
            self.body = bytearray(body)
            self.body += data

    def on_message_complete(self) -> None:
        request = cast(Request, self.request)
        if self.body_size:
            request.body = bytes(self.body)  # the same object where it is one
            request.held_bytes = self.body_size
            self.body = b""
            self.body_size = 0
        self.request = None
        self.state = IDLE
        ready = self.ready
        ready.append(request)
        if len(ready) > MOST_PIPELINED:
            self.refuse(429, "too_many_pipelined", f"at most {MOST_PIPELINED} requests may be sent ahead")

    # What headers call.

    @property
    def most_body_bytes(self) -> int:
        """Largest body [bytes]."""
        return self.handler.options.body_bytes

    def refuse(self, status: int, code: str, message: str) -> None:
        """Refuse the request that is being read; does not return."""
        self._refuse(status, code, message)
        raise RefusedError(message)

    def invite_body(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self.answering is None and not self.ready:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # What answers call.

    def send(self, data: bytes) -> None:
        """Write to the client; where it is just going, to nobody."""
        transport = self.transport
        if not transport.is_closing():
            transport.write(data)

    def done(self, closes: bool) -> None:
        """The answer is sent; goes on with the next request, or ends the connection."""
        self.answering = None
        self.since_s = monotonic()
        if closes or self.handler.is_draining or self.transport.is_closing():
            self.is_deaf = self.is_ending = True
            self.transport.close()
        elif self.ready:
            asyncio.get_running_loop().call_soon(self._next)
        elif self.reading_paused and not self.is_paused:
            self._read_on()

    def abort(self) -> None:
        """End the connection at once: what was being sent stays cut off, and the client sees that."""
        self.is_deaf = self.is_ending = True
        self.answering = None
        self.transport.abort()

    def drain(self) -> None:
        """End the connection unless it has something under way, which it then ends with."""
        if self.answering is None and not self.ready and self.state == IDLE:
            self.is_deaf = self.is_ending = True
            self.transport.close()

    def hang_up(self) -> None:
        """End the connection at once, and what is under way for it."""
        answering, self.answering = self.answering, None
        self.is_deaf = self.is_ending = True
        self.transport.abort()
        if answering is not None:
            answering.client_gone()

    def overdue(self, now_s: float) -> None:
        """End the connection where the client lets it wait too long; called now and then."""
        options, waited_s = self.handler.options, now_s - self.since_s
        if self.is_ending:
            if waited_s > (options.stalled_s if self.transport.get_write_buffer_size() else LINGER_S):
                self.transport.abort()
        elif self.is_paused:
            if waited_s > options.stalled_s:
                self.hang_up()
        elif self.answering is not None or self.ready:
            return
        elif self.state == IDLE:
            if waited_s > options.idle_s:
                self.transport.close()
        elif waited_s > (options.head_s if self.state == HEAD else options.body_s):
            self._refuse(408, "timeout", "the request took too long to arrive")
            self._malformed(None)
            self._next()

    # The rest.

    def _stop_reading(self) -> None:
        if not self.reading_paused and not self.is_ending:
            self.reading_paused = True
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if self.reading_paused and not self.transport.is_closing():
            self.reading_paused = False
            self.transport.resume_reading()

    def _count_head(self, size: int, body_before: int) -> None:
        """Refuse a head, or all that frames a body, trailers included, that grows too large."""
        if self.head_size < 0 or (self.state == BODY and self.body_size != body_before):
            self.head_size = 0  # the read holds other things, too
        else:
            self.head_size += size
        if self.head_size > self.handler.options.head_bytes:
            self._refuse(431, "headers_too_large", "the head of the request is too large")
            self._malformed(None)

    def _refuse(self, status: int, code: str, message: str) -> None:
        request = self.request or Request()
        request.refusal = (status, code, message)
        self.request = request

    def _malformed(self, error: HttpParserError | None) -> None:
        """Nothing more is read; what was asked before is answered first."""
        request = self.request or Request()
        if request.refusal is None:
            request.refusal = (400, "malformed_request", f"the request is not well-formed HTTP: {error}")
        request.is_close = True
        self.request = None
        self.is_deaf = True
        self._drop_body()
        self.state = IDLE
        self.ready.append(request)

    def _drop_body(self) -> None:
        self.handler.buffered_bytes -= self.body_size
        self.body_size = 0
        self.body = b""

    def _skip_upgrade(self, rest: bytes) -> None:
        """Whoever offers another protocol is answered in this one.

        The parser takes a request with such an offer for complete after its head. So its body, which follows in any
        case, is read behind a head of our own that says how it is framed.
        """
        if self.is_deaf:
            return
        self.parser = HttpRequestParser(self)
        if self.saw_coding or self.length:
            self.resumed = self.ready.pop()
            framing = b"transfer-encoding: chunked" if self.saw_coding else b"content-length: %d" % self.length
            self.parser.feed_data(b"POST / HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % framing)
        if rest:
            self.data_received(rest)

    def _next(self) -> None:
        """Have the next request answered."""
        if self.answering is not None or not self.ready or self.is_ending or self.is_paused:
            return
        request = self.ready.popleft()
        self.handler.buffered_bytes -= request.held_bytes
        if self.ready:
            self._stop_reading()
        elif self.reading_paused:
            self._read_on()
        if request.refusal is not None:
            status, code, message = request.refusal
            self.handler.turn_away(request, status, code)
            self.transport.write(reply(status, error_body(status, code, message), closes=True))
            self._end()
            return
        self.handler.handle(self, request)

    def _end(self) -> None:
        """End the connection: nothing more is written, and what still comes is thrown away until the client ends too.

        Closed at once, what it still sends would make the system reset it, and the answer might never be read.
        """
        self.is_deaf = self.is_ending = True
        self.since_s = monotonic()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            if self.reading_paused:
                self.transport.resume_reading()
        else:
            self.transport.close()
