"""Measuring a server of known law, both in virtual time."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.measure.allowance import Caps
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.point import Point
from cuvee.profile.measure.sweep import Listeners, Measured, Measuring, measure
from cuvee.workload.records import WorkloadType
from tests.profile.measure.server import Law, Manners, Server
from tests.profile.measure.virtual_time import run_virtually

DEPLOYED = Deployment(gpu="A100-80GB-SXM", tp=1, model="llama-3-8b")
SHORT = WorkloadType("short", 30, 6)

SLOW = Law(slots=4, step_s=0.2, sequence_s=0.05, prompt_token_s=0.001)
"""A saturated step serves 4/6 requests in 0.2 + 0.2 + 0.02 s: 1.587 req/s of `SHORT`."""

FEW = {"first_concurrency": 2, "loads": (), "within": 0.05}
"""Options under which a measurement of `SHORT` takes some hundred requests."""


class Run(NamedTuple):
    """One measurement beside what the server saw of it."""

    measured: Measured
    server: Server
    reported: list[Point]

    @property
    def points(self) -> tuple[Point, ...]:
        """All points of the record."""
        return self.measured.record.points


def run(
    law: Law = SLOW,
    manners: Manners | None = None,
    *,
    types: tuple[WorkloadType, ...] = (SHORT,),
    caps: Caps | None = None,
    path: Path | None = None,
    stop_after: int | None = None,
    url: str = "",
    port: int = 0,
    asked: dict[str, object] | None = None,
    say: Callable[[str], None] = lambda _: None,
    **options: object,
) -> Run:
    """Measure a new server.

    Parameters
        path          Record; a new one where none is given.
        stop_after    Points after which somebody presses Ctrl-C.
        url           Where to look for the server, where it is not there.
        port          Of the server; 0 for any that is free.
        asked         Fields of `Measuring` beside those here.
        say           Told what is being done.
        options       Fields of `MeasureOptions`, over those of `FEW`.
    """
    chosen = MeasureOptions(**{**FEW, **options})  # type: ignore[arg-type]
    path = path or Path(tempfile.mkdtemp()) / "record.json"

    async def work() -> Run:
        stop, reported = asyncio.Event(), list[Point]()

        def hear(_: object, point: Point) -> None:
            reported.append(point)
            if len(reported) == stop_after:
                stop.set()

        async with Server(law, manners).serving(port) as server:
            question = Measuring(
                url or server.url,
                DEPLOYED,
                types,
                chosen,
                caps or Caps(max_time_s=3600),
                path,
                **(asked or {}),  # type: ignore[arg-type]
            )
            return Run(await measure(question, stop, Listeners(say, hear)), server, reported)

    return run_virtually(work)
