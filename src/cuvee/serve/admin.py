"""The side of whoever runs the gateway: metrics, status and reload, on a port of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from cuvee.errors import CuveeError
from cuvee.serve.metrics import CONTENT_TYPE
from cuvee.serve.observing import Siblings, metrics_of, record_of
from cuvee.serve.options import ServeOptions
from cuvee.serve.replies import error_body, reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from cuvee.serve.gateway import Gateway
    from cuvee.serve.http_in import ClientConnection
    from cuvee.serve.request import Request

OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine that a browser cannot be tricked into."""

PATHS = {
    b"/metrics": b"GET", b"/counters": b"GET", b"/health": b"GET", b"/status": b"GET", b"/reload": b"POST",
}  # fmt: skip
"""What is answered, and the method it is asked with."""


class Admin:
    """Answers on the admin port.

    Parameters
        reload    Reads the files that were given at the start again; raises InputError where they are wrong.
        host      Where it listens: unless that is loopback, any Host is taken.
        siblings  Host and admin port of the other processes that share the gateway's port.
    """

    def __init__(
        self,
        gateway: Gateway,
        reload: Callable[[], Awaitable[list[str]]],
        host: str,
        siblings: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.gateway = gateway
        self.reload = reload
        self.siblings = Siblings(siblings)
        self.checks_host = host in OWN_NAMES
        self.options = ServeOptions(body_bytes=10_000, connections=200)
        self.clients: set[ClientConnection] = set()
        self.buffered_bytes = 0
        self.is_draining = False
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, client: ClientConnection, request: Request) -> None:
        """Answer one request."""
        host = _host_of(request)
        if host is None:
            self._answer(client, request, 400, error_body(400, "malformed_request", "the Host is none"))
            return
        if not self._is_from_here(request, host):
            self._answer(client, request, 403, error_body(403, "forbidden", "not for pages of a browser"))
            return
        method = PATHS.get(request.path)
        if method is None:
            self._answer(client, request, 404, error_body(404, "not_found", "no such path"))
        elif method != request.method:
            body = error_body(405, "method_not_allowed", f"{method.decode()} is meant for this path")
            self._answer(client, request, 405, body, headers=b"allow: %b\r\n" % method)
        elif request.path == b"/metrics":
            self._later(client, request, self._metrics(client, request))
        elif request.path == b"/reload":
            self._later(client, request, self._reload(client, request))
        elif request.path == b"/counters":
            self._answer(client, request, 200, orjson.dumps(record_of(self.gateway)))
        else:
            self._answer(client, request, 200, orjson.dumps(status_of(self.gateway)))

    def _later(self, client: ClientConnection, request: Request, work: Coroutine[None, None, None]) -> None:
        """Have an answer made that takes a while."""
        client.answering = _Patience()
        task = asyncio.get_running_loop().create_task(self._or_say(client, request, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _or_say(self, client: ClientConnection, request: Request, work: Coroutine[None, None, None]) -> None:
        """Do `work`; whoever waits for it is told of an error of our own, too."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 any of them, else there would be no answer
            told = {"message": "an answer of the admin port failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
            self._answer(client, request, 500, error_body(500, "internal_error", "an error of the gateway's own"))

    async def _metrics(self, client: ClientConnection, request: Request) -> None:
        text = await metrics_of(self.gateway, self.siblings)
        self._answer(client, request, 200, text, content_type=CONTENT_TYPE)

    def turn_away(self, request: Request, status: int, code: str) -> None:
        """Nobody counts what is refused here."""

    async def _reload(self, client: ClientConnection, request: Request) -> None:
        try:
            notes = await self.reload()
        except CuveeError as error:
            self._answer(client, request, 422, error_body(422, "not_reloaded", str(error)))
            return
        self._answer(client, request, 200, orjson.dumps({"reloaded": True, "notes": notes}))

    def _is_from_here(self, request: Request, host: str) -> bool:
        """Whether no page of a browser sent it: it names an origin, or a host that was made to lead here."""
        if any(name.lower() == b"origin" for name in request.head[::4]):
            return False
        return not self.checks_host or host in OWN_NAMES

    def _answer(
        self,
        client: ClientConnection,
        request: Request,
        status: int,
        body: bytes,
        *,
        content_type: bytes = b"application/json",
        headers: bytes = b"",
    ) -> None:
        if not client.is_ending:
            client.send(reply(status, body, content_type=content_type, headers=headers, closes=request.is_close))
            client.done(request.is_close)


def _host_of(request: Request) -> str | None:
    """The name of the host that is asked, without its port; None of what is no host."""
    try:
        return urlsplit("//" + request.host.decode("latin-1")).hostname or ""
    except ValueError:
        return None


class _Patience:
    """Stands for an answer that is being made; there is nothing to cancel."""

    def client_gone(self) -> None:
        """Nobody waits any more."""

    def pause(self) -> None:
        """Nothing is sent yet."""

    def resume(self) -> None:
        """Nothing was held."""


def status_of(gateway: Gateway) -> dict[str, Any]:
    """The state of replicas and groups, for people and for the launcher's table."""
    serving, router = gateway.serving, gateway.serving.router
    replicas = [
        {
            "name": replica.name, "url": replica.address.url, "group": replica.group, "is_up": replica.is_up,
            "held": replica.held, "occupancy": round(router.occupancy[place], 4), "requests": replica.num_requests,
            "failures": replica.num_failures, "ejections": replica.num_ejected,
            "connections": len(replica.pool.connections),
        }
        for place, replica in enumerate(serving.replicas)
    ]  # fmt: skip
    rows = [
        {
            "model": model, "workload": workload,
            "shares": dict(zip(serving.groups, router.shares[row], strict=True)),
            "planned": dict(zip(serving.groups, serving.planned[row], strict=True)),
        }
        for row, (model, workload) in enumerate(serving.row_names)
    ]  # fmt: skip
    waiting = {state.model: state.line.length for state in serving.models.values()}
    return {
        "status": "draining" if gateway.is_draining else "serving", "replicas": replicas, "assignment": rows,
        "waiting": waiting, "under_way": len(gateway.exchanges), "clients": len(gateway.clients),
    }  # fmt: skip
