"""One process of the gateway: sockets, signals, its ticking, its orderly end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from cuvee.errors import InputError
from cuvee.serve.gateway import TICK_S, Gateway
from cuvee.serve.http_in import ClientConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from cuvee.serve.options import ServeOptions
    from cuvee.serve.serving import Serving


class Server:
    """A gateway that listens.

    Attributes
        address    Host and port it listens on, once it does.
    """

    def __init__(self, serving: Serving, options: ServeOptions) -> None:
        self.gateway = Gateway(serving, options)
        self.address = ("", 0)
        self._listening: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, shared: bool = False) -> None:
        """Listen.

        Parameters
            shared    Whether other processes listen on the same port.
        Raises        InputError: the port is taken, or the host is not this machine's.
        """
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(
                lambda: ClientConnection(self.gateway), host, port, ssl=tls, reuse_port=shared or None, backlog=4096
            )
        except (OSError, OverflowError) as error:
            raise InputError(
                f"{host}:{port} cannot be listened on ({error})",
                expected="a free port of this machine",
                remedy="choose another: --port",
            ) from None
        self.address = self._listening.sockets[0].getsockname()[:2]
        self.gateway.health.watch()
        self._ticking = loop.create_task(self._tick())

    async def run(self, ready: Callable[[Server], None] | None = None) -> None:
        """Serve until a signal says to end, then end in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        if ready is not None:
            ready(self)
        await self._stopping.wait()
        await self.drain()

    def end(self) -> None:
        """Begin to end; asked a second time, end at once."""
        if self._stopping.is_set():
            self.gateway.options = self.gateway.options.hurried()
        self._stopping.set()

    async def drain(self) -> None:
        """Take no more, let what runs finish within its time, and close."""
        gateway = self.gateway
        gateway.is_draining = True
        if self._listening is not None:
            self._listening.close()
        for client in list(gateway.clients):
            client.drain()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while gateway.clients and loop.time() - began_s < gateway.options.drain_s:
            await asyncio.sleep(0.02)
        for client in list(gateway.clients):
            client.transport.abort()
        gateway.health.stop()
        for replica in gateway.serving.replicas:
            replica.pool.close()
        if self._ticking is not None:
            self._ticking.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticking

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.gateway.tick()
