"""The side of the replicas: connections that are kept, replies that are passed on as they come."""

from __future__ import annotations

import asyncio
import re
import ssl
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    from cuvee.serve.replicas_file import ReplicaAddress

MOST_HEAD_BYTES = 65_536
"""Largest head of a reply [bytes]."""

OWN_LINES = re.compile(rb"\r\n(?:connection|keep-alive|proxy-connection|x-cuvee-[a-z-]*):[^\r]*", re.IGNORECASE)
"""Header lines of a reply that are this connection's, or ours."""

NOTED_LINES = re.compile(
    rb"\r\n(?:(connection|keep-alive|proxy-connection|x-cuvee-[a-z-]*)|content-length|transfer-encoding):",
    re.IGNORECASE,
)
"""Those, and the lines that say where the reply ends."""

BLANK = b"\r\n"
"""Empty lines before a status line mean nothing."""

STALE_S = 1.0
"""How soon after a request a kept connection has to end for it to have been closed before [s]."""

KEPT_S = 60.0
"""How long an idle connection is kept [s]; engines close theirs sooner."""


class Failure(Enum):
    """Why there is no reply, or no more of it."""

    STALE = "a kept connection was closed before a byte came"
    UNREACHABLE = "no connection"
    LOST = "the connection was lost"
    BROKEN = "the reply is not well-formed HTTP"
    SILENT = "nothing came for too long"
    DOWN = "the replica was found to be down"


class Receiving(Protocol):
    """Who a reply is for."""

    def connected(self, connection: UpstreamConnection) -> bool:
        """A new connection stands; whether the request is still to be sent over it."""

    def not_connected(self, pool: Pool) -> None:
        """No connection of `pool` came about."""

    def reply_begins(self, status: int, head: bytes, body: bytes, *, ends_with_connection: bool) -> None:
        """The head of the reply is there, with what came of its body."""

    def reply_goes_on(self, data: bytes) -> None:
        """More of the body, as it was sent."""

    def reply_ends(self, *, closes: bool) -> None:
        """The reply is complete; `closes` where only the end of the connection tells where it ends."""

    def reply_fails(self, failure: Failure) -> None:
        """No reply, or no more of it."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to a replica, one request at a time."""

    __slots__ = (
        "begun", "has_head", "head", "informational", "is_complete", "keeps", "parser", "pool", "receiver", "since_s",
        "status", "surplus", "to_the_end", "transport", "uses",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.parser = HttpResponseParser(self)
        self.receiver: Receiving | None = None
        self.uses = 0
        self.since_s = 0.0
        self._reset()

    def _reset(self) -> None:
        self.head = b""
        self.has_head = self.begun = self.is_complete = self.surplus = self.to_the_end = False
        self.keeps = True
        self.status = self.informational = 0

    def ask(self, receiver: Receiving, request: bytes) -> None:
        """Send a request; the reply goes to `receiver`."""
        self._reset()
        self.receiver = receiver
        self.uses += 1
        self.since_s = monotonic()
        self.transport.write(request)

    def drop(self) -> None:
        """Nobody wants the reply any more: the engine learns that from the end of the connection."""
        self.receiver = None
        self.transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.pool.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.gone(self)
        receiver, self.receiver = self.receiver, None
        if receiver is None:
            return
        if self.has_head and self.to_the_end and exc is None:
            receiver.reply_ends(closes=True)
        else:
            was_closed = self.uses > 1 and not self.head and monotonic() - self.since_s < STALE_S
            receiver.reply_fails(Failure.STALE if was_closed else Failure.LOST)

    def data_received(self, data: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            self.transport.abort()  # nobody asked
            return
        self.since_s = monotonic()
        try:
            self.parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._broken()
            return
        if self.surplus:
            self._broken()
        elif self.has_head:
            receiver.reply_goes_on(data)
            if self.is_complete:
                self._complete(receiver)
        else:
            self._head(data, receiver)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.surplus = True

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        if self.status < 200:
            self.informational += 1
        else:
            self.begun = True

    def on_message_complete(self) -> None:
        if self.begun:
            self.is_complete = True
            self.keeps = self.parser.should_keep_alive()

    # The rest.

    def _head(self, data: bytes, receiver: Receiving) -> None:
        """The head, once all of it is there, goes on without what is this connection's own."""
        data = self.head + data if self.head else data
        if not self.begun:
            self.head = data
            if len(data) > MOST_HEAD_BYTES:
                self._broken()
            return
        data = data.lstrip(BLANK)
        while self.informational:
            data = data[data.index(b"\r\n\r\n") + 4 :].lstrip(BLANK)
            self.informational -= 1
        end = data.index(b"\r\n\r\n") + 2
        head, body = data[:end], data[end + 2 :]
        self.has_head, self.head = True, head
        noted = NOTED_LINES.findall(head)  # names of those lines, and nothing for each of the others
        if any(noted):
            head = OWN_LINES.sub(b"", head)
        if not head.startswith(b"HTTP/1.1 "):
            head = b"HTTP/1.1" + head[8:]
        self.to_the_end = b"" not in noted and self.status not in (204, 304)
        receiver.reply_begins(self.status, head, body, ends_with_connection=self.to_the_end)
        if self.is_complete and self.receiver is receiver:
            self._complete(receiver)

    def _complete(self, receiver: Receiving) -> None:
        if self.receiver is not receiver:
            return  # it gave the reply up on seeing it
        self.receiver = None
        if self.keeps and not self.transport.is_closing():
            self.pool.keep(self)
        else:
            self.transport.close()
        receiver.reply_ends(closes=False)

    def _broken(self) -> None:
        receiver, self.receiver = self.receiver, None
        self.transport.abort()
        if receiver is not None:
            receiver.reply_fails(Failure.BROKEN)


class Pool:
    """Connections to one replica, the one used last is used next."""

    def __init__(self, address: ReplicaAddress, connect_s: float) -> None:
        self.address = address
        self.connect_s = connect_s
        self.idle: list[UpstreamConnection] = []
        self.connections: set[UpstreamConnection] = set()
        self.num_opened = 0
        self.connecting: set[asyncio.Task[None]] = set()
        self.is_closed = False
        self.tls = ssl.create_default_context() if address.is_tls else None

    def ask(self, receiver: Receiving, request: bytes, *, fresh: bool = False) -> UpstreamConnection | None:
        """Send a request over a connection that is there; else over a new one, and None is returned.

        Parameters
            fresh    Whether to open a new one in any case.
        """
        idle = self.idle
        while idle and not fresh:
            connection = idle.pop()
            if not connection.transport.is_closing():
                connection.ask(receiver, request)
                return connection
        task = asyncio.get_running_loop().create_task(self._open(receiver, request))
        self.connecting.add(task)
        task.add_done_callback(self.connecting.discard)
        return None

    def keep(self, connection: UpstreamConnection) -> None:
        """Put a connection back."""
        if self.is_closed:
            connection.transport.close()
            return
        connection.since_s = monotonic()
        self.idle.append(connection)

    def gone(self, connection: UpstreamConnection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)

    def tidy(self, now_s: float) -> None:
        """Close connections that were not used for long."""
        for connection in [each for each in self.idle if now_s - each.since_s > KEPT_S]:
            self.idle.remove(connection)
            connection.transport.close()

    def close(self) -> None:
        """Close what is idle; the others end with their replies, and none is kept any more."""
        self.is_closed = True
        for connection in self.idle:
            connection.transport.close()
        self.idle = []

    async def _open(self, receiver: Receiving, request: bytes) -> None:
        address, loop = self.address, asyncio.get_running_loop()
        self.num_opened += 1
        try:
            async with asyncio.timeout(self.connect_s):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self), address.host, address.port, ssl=self.tls
                )
        except (OSError, TimeoutError, UnicodeError):  # the last: a host that is no name
            receiver.not_connected(self)
            return
        if receiver.connected(connection):
            connection.ask(receiver, request)
        else:
            self.keep(connection)
