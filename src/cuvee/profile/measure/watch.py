"""When a step of measuring ends, and how busy the load generator itself was."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")

TICK_S = 0.25
"""Shortest time between two looks at what has come in [s]."""

TICK_SHARE = 0.1
"""The same as a share of the time that a window has lasted [-], so that looking takes little of it."""

FAILURE_PAUSE_S = 1.0
"""Wait after a failed request before the next of the same stream [s]."""


class StoppedError(Exception):
    """Ctrl-C, or whatever else asked for an end."""


@dataclass(frozen=True)
class Watch:
    """When a step ends.

    Attributes
        deadline_s    On the loop's clock [s].
        stop          Set where everything is to end.
        say           Told how far it is.
    """

    deadline_s: float
    stop: asyncio.Event
    say: Callable[[str], None] = lambda _: None

    @property
    def now_s(self) -> float:
        """The loop's clock [s]."""
        return asyncio.get_running_loop().time()

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.now_s >= self.deadline_s

    async def tick(self, since_s: float) -> None:
        """Wait a little, longer the longer the window since `since_s` [s]; raises StoppedError."""
        wait_s = max(TICK_S, TICK_SHARE * (self.now_s - since_s))
        try:
            await asyncio.wait_for(self.stop.wait(), max(0.0, min(wait_s, self.deadline_s - self.now_s)))
        except TimeoutError:
            return
        raise StoppedError


class Effort:
    """Share of a time that this process kept a processor busy."""

    def __init__(self) -> None:
        self._began = (asyncio.get_running_loop().time(), time.process_time())

    @property
    def busy_share(self) -> float:
        """Since this was made [-]."""
        began_s, began_busy_s = self._began
        return (time.process_time() - began_busy_s) / max(asyncio.get_running_loop().time() - began_s, 1e-9)


def start(
    work: Coroutine[Any, Any, None], tasks: "set[asyncio.Task[None]]", failed: Callable[[BaseException], None]
) -> None:
    """Begin `work` as one of `tasks`, which it leaves when it is done: there may be one for each request.

    Parameters
        failed    Called with what `work` raised: nobody waits for it, so nobody else would hear of it.
    """

    def end(task: "asyncio.Task[None]") -> None:
        tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(error)

    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(end)


async def end_all(tasks: "Collection[asyncio.Task[Any]]") -> None:
    """Cancel tasks and wait until they are gone."""
    for task in (all_of_them := tuple(tasks)):
        task.cancel()
    await asyncio.gather(*all_of_them, return_exceptions=True)


async def unless_stopped(
    work: Coroutine[Any, Any, Result], stop: asyncio.Event, *, within_s: float = math.inf
) -> Result:
    """What `work` gives; raises StoppedError where `stop` is set first, TimeoutError after `within_s` [s]."""
    doing, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        timeout_s = None if math.isinf(within_s) else max(within_s, 0.0)
        await asyncio.wait((doing, stopping), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise StoppedError if stopping.done() else TimeoutError
        return doing.result()
    finally:
        await end_all([each for each in (doing, stopping) if not each.done()])
