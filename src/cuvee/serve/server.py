"""One process of the gateway: sockets, signals, its ticking, its orderly end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from cuvee.errors import InputError
from cuvee.serve.admin import Admin
from cuvee.serve.engine_metrics import EngineMetrics
from cuvee.serve.gateway import TICK_S, Gateway
from cuvee.serve.http_in import ClientConnection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from cuvee.serve.http_in import Handler
    from cuvee.serve.journal import Journal
    from cuvee.serve.options import ServeOptions
    from cuvee.serve.serving import Serving
    from cuvee.serve.spans import Spans


class Server:
    """A gateway that listens.

    Attributes
        address    Host and port it listens on, once it does.
    """

    def __init__(self, serving: Serving, options: ServeOptions) -> None:
        self.gateway = Gateway(serving, options)
        self.address = ("", 0)
        self.admin_address = ("", 0)
        self.admin: Admin | None = None
        self._listening: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._stopping = asyncio.Event()

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, shared: bool = False) -> None:
        """Listen.

        Parameters
            shared    Whether other processes listen on the same port.
        Raises        InputError: the port is taken, or the host is not this machine's.
        """
        self.address = await self._listen(self.gateway, host, port, "--port", tls=tls, shared=shared)
        self.gateway.health.watch()
        loop = asyncio.get_running_loop()
        self._ticking, self._writing = loop.create_task(self._tick()), loop.create_task(self._write_journals())

    async def start_admin(
        self,
        host: str,
        port: int,
        reload: Callable[[], Awaitable[list[str]]],
        siblings: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Listen for whoever runs the gateway; raises as `start` does.

        Parameters
            siblings    Host and admin port of the other processes that share the gateway's port.
        """
        self.admin = Admin(self.gateway, reload, host, siblings)
        self.admin_address = await self._listen(self.admin, host, port, "--admin-port")

    def keep(self, journal: Journal) -> None:
        """Write a line of `journal` for each request."""
        self.gateway.journals.append(journal)
        self.gateway.ended.append(journal.add)
        self.gateway.refused_early.append(journal.add_early)

    def trace(self, spans: Spans) -> None:
        """Make a span of each request."""
        self.gateway.began.append(spans.begin)
        self.gateway.ended.append(spans.end)

    def watch_engines(self, period_s: float) -> None:
        """Ask the engines of themselves every `period_s` [s]."""
        self.gateway.engine_metrics = EngineMetrics(period_s)
        self.gateway.engine_metrics.watch(self.gateway.serving.replicas)

    def background(self, work: Coroutine[None, None, None]) -> None:
        """Have something done beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(
        self,
        handler: Handler,
        host: str,
        port: int,
        option: str,
        *,
        tls: ssl.SSLContext | None = None,
        shared: bool = False,
    ) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        try:
            listening = await loop.create_server(
                lambda: ClientConnection(handler), host, port, ssl=tls, reuse_port=shared or None, backlog=4096
            )
        except (OSError, OverflowError) as error:
            raise InputError(
                f"{host}:{port} cannot be listened on ({error})",
                expected="a free port of this machine",
                remedy=f"choose another: {option}",
            ) from None
        self._listening.append(listening)
        name: tuple[str, int] = listening.sockets[0].getsockname()[:2]
        return name

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
        for listening in self._listening:
            listening.close()
        for client in list(gateway.clients):
            client.drain()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while gateway.clients and loop.time() - began_s < gateway.options.drain_s:
            await asyncio.sleep(0.02)
        for client in [*gateway.clients, *(self.admin.clients if self.admin is not None else ())]:
            client.hang_up()
        gateway.health.stop()
        if gateway.engine_metrics is not None:
            gateway.engine_metrics.stop()
        for replica in gateway.serving.replicas:
            replica.pool.close()
        if self._ticking is not None:
            self._ticking.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticking
        self._closing.set()
        if self._writing is not None:
            await self._writing

    async def _tick(self) -> None:
        loop, told = asyncio.get_running_loop(), ""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.gateway.tick()
                if self.admin is not None:
                    now_s = monotonic()
                    for client in list(self.admin.clients):
                        client.overdue(now_s)
            except Exception as error:  # noqa: BLE001 without it no timeout would hold any more
                if repr(error) != told:
                    told = repr(error)
                    loop.call_exception_handler({"message": "what is due now and then failed", "exception": error})

    async def _write_journals(self) -> None:
        """Write now and then, and once more at the end; apart from `_tick`, which no slow disk may hold up."""
        is_last = False
        while not is_last:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), TICK_S)
            is_last = self._closing.is_set()
            for journal in self.gateway.journals:
                with suppress(OSError):  # a full disk stops no request; the lines are kept for the next time
                    await journal.write()
