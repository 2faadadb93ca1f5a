"""`serve`: files into a gateway that runs until it is told to end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cuvee.errors import MissingExtraError
from cuvee.plan.outcome.files import load_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from cuvee.serve.options import ServeOptions
    from cuvee.serve.server import Server
    from cuvee.serve.serving import Serving


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a gateway listens, and the files it reads.

    Attributes
        plan, replicas    Files; a reload reads these again, and no others.
    """

    plan: Path
    replicas: Path
    host: str = "127.0.0.1"
    port: int = 8080


def load_serving(place: Place, options: ServeOptions) -> Serving:
    """Plan and replicas from their files, checked.

    Raises      InputError: files that cannot be used; MissingExtraError: what serving needs is not installed.
    """
    require_extra()
    from cuvee.serve.replicas_file import load_deployment
    from cuvee.serve.serving import serving_of

    plan = load_plan(place.plan)
    return serving_of(plan, load_deployment(place.replicas, plan), options)


def require_extra() -> None:
    """Raises MissingExtraError where a package is missing that serving needs."""
    try:
        import httptools  # noqa: F401
        import orjson  # noqa: F401
        import prometheus_client  # noqa: F401
    except ImportError:
        raise MissingExtraError("the gateway", "serve") from None


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def serve(place: Place, options: ServeOptions, ready: Callable[[Server], None] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Parameters
        ready    Called once it listens.
    """
    serving = load_serving(place, options)
    from cuvee.serve.server import Server

    async def listen() -> None:
        server = Server(serving, options)
        await server.start(place.host, place.port)
        await server.run(ready)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(listen())
