"""`serve`: files into a gateway that runs until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cuvee.errors import CuveeError, InputError, MissingExtraError
from cuvee.plan.outcome.files import load_plan

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from cuvee.serve.options import ServeOptions
    from cuvee.serve.reloading import Reloader
    from cuvee.serve.server import Server
    from cuvee.serve.serving import Serving

PARENT_S = 1.0
"""Time between two looks whether the process that keeps this one running is there [s]."""

GARBAGE_AFTER = 10_000
"""New objects after which the collector looks for garbage [-]: requests leave next to none that it has to find."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a gateway listens, and the files it reads and writes.

    Attributes
        plan, replicas, keys         Files; a reload reads these again, and no others. No keys: anybody may ask.
        certificate, private_key     For TLS; read again on reload, too. None: plain HTTP.
        admin_host, admin_port       Where metrics, status and reload are; no port: nowhere.
        access_log, trace            Files that get a line for each request.
        processes                    Gateways that share the port, this one being `process`, from 0.
        parent                       Process that keeps them running; they end where it is gone. 0: none.
        has_spans                    Whether OpenTelemetry spans are sent, to where the environment says.
    """

    plan: Path
    replicas: Path
    keys: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    access_log: Path | None = None
    trace: Path | None = None
    processes: int = 1
    process: int = 0
    parent: int = 0
    has_spans: bool = False

    def siblings(self) -> list[tuple[str, int]]:
        """Where the admin ports of the other processes are; nowhere where the system chose them."""
        if not self.admin_port:
            return []
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.admin_host, self.admin_host)
        first = self.admin_port - self.process
        return [(host, first + place) for place in range(self.processes) if place != self.process]

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise InputError(
                "a certificate without its key, or a key without its certificate",
                expected="both, or neither",
                remedy="--tls-certificate and --tls-key",
            )


def load_serving(place: Place, options: ServeOptions) -> Serving:
    """Plan, replicas and keys from their files, checked.

    Raises      InputError: files that cannot be used; MissingExtraError: what serving needs is not installed.
    """
    require_extra()
    if place.has_spans:
        require_spans()
    from cuvee.serve.keys import Accounts, load_keys
    from cuvee.serve.replicas_file import load_deployment
    from cuvee.serve.serving import serving_of

    plan = load_plan(place.plan)
    serving = serving_of(plan, load_deployment(place.replicas, plan), options, processes=place.processes)
    if place.keys is not None:
        serving.accounts = Accounts(load_keys(place.keys), processes=place.processes)
    return serving


def require_extra() -> None:
    """Raises MissingExtraError where a package is missing that serving needs."""
    try:
        import httptools  # noqa: F401
        import orjson  # noqa: F401
        import prometheus_client  # noqa: F401
    except ImportError:
        raise MissingExtraError("the gateway", "serve") from None


def require_spans() -> None:
    """Raises MissingExtraError where a package is missing that spans need."""
    try:
        import opentelemetry.exporter.otlp.proto.http
        import opentelemetry.sdk  # noqa: F401
    except ImportError:
        raise MissingExtraError("OpenTelemetry spans", "otel") from None


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def keep_for_good() -> None:
    """Let the collector of garbage pass over what is loaded: it would look through all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER, 20, 100)


def tls_of(place: Place, context: ssl.SSLContext | None = None) -> ssl.SSLContext | None:
    """TLS as the files have it, None of none; a `context` that is given gets them for its next connections.

    Raises      InputError: files that are no certificate and its key; the context is then as it was.
    """
    import ssl

    if place.certificate is None or place.private_key is None:
        return None
    if context is not None:
        tls_of(place)  # a context takes a certificate before it finds that the key is not its own
    else:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(place.certificate, place.private_key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"{place.certificate}, {place.private_key}: {error}",
            expected="a certificate and its key in PEM",
            remedy="check the files and who may read them",
        ) from None
    return context


def serve(place: Place, options: ServeOptions, ready: Callable[[Server], None] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Parameters
        ready    Called once it listens.
    """
    serving, tls = load_serving(place, options), tls_of(place)
    keep_for_good()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_listen(place, options, serving, tls, ready))


async def _listen(
    place: Place,
    options: ServeOptions,
    serving: Serving,
    tls: ssl.SSLContext | None,
    ready: Callable[[Server], None] | None,
) -> None:
    from cuvee.serve.journal import TRACE_HEADER, Journal, access_line, early_line, trace_line
    from cuvee.serve.reloading import Reloader
    from cuvee.serve.server import Server

    server = Server(serving, options)
    if place.access_log is not None:
        server.keep(Journal(place.access_log, access_line, early=early_line))
    if place.trace is not None:
        server.keep(Journal(place.trace, trace_line, TRACE_HEADER))

    def load() -> Serving:
        fresh = load_serving(place, options)
        tls_of(place, tls)
        return fresh

    reloader = Reloader(server.gateway, load)
    await server.start(place.host, place.port, tls=tls, shared=place.processes > 1)
    if place.admin_port is not None:
        asked = reloader.reload if place.processes == 1 else partial(_reload_all, server, load, place.parent)
        await server.start_admin(place.admin_host, place.admin_port, asked, place.siblings())
    if options.engine_metrics_s and place.process == 0:
        server.watch_engines(options.engine_metrics_s)
    _reload_on_hangup(server, reloader)
    if place.parent:
        server.background(_end_with(place.parent, server))
    if not place.has_spans:
        await server.run(ready)
        return
    from cuvee.serve.spans import Spans, exporting_provider

    spans = Spans(exporting_provider())
    server.trace(spans)
    await server.run(ready)
    await asyncio.to_thread(spans.provider.shutdown)


async def _reload_all(server: Server, load: Callable[[], Serving], parent: int) -> list[str]:
    """Have every process reload, once the files are found to be good."""
    try:
        fresh = await asyncio.to_thread(load)
    except Exception:
        server.gateway.counters.failed_reloads += 1
        raise
    if os.getppid() != parent:
        raise InputError(
            "the process that keeps the gateways running is gone", expected="all of them", remedy="start cuvee serve"
        )
    os.kill(parent, signal.SIGHUP)
    return list(fresh.notes)


async def _end_with(parent: int, server: Server) -> None:
    """End in order once process `parent` is gone: nobody would replace, reload or end this one."""
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_S)
    server.end()


def _reload_on_hangup(server: Server, reloader: Reloader) -> None:
    """Reload on SIGHUP; what is wrong with the files is said on stderr, and everything stays as it was."""

    async def reload() -> None:
        try:
            notes = await reloader.reload()
        except CuveeError as error:
            print(f"not reloaded: {error}", file=sys.stderr, flush=True)  # noqa: T201 there is nobody else to tell
        else:
            print("\n".join(["reloaded", *notes]), file=sys.stderr, flush=True)  # noqa: T201

    loop = asyncio.get_running_loop()
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, lambda: server.background(reload()))
