"""An event loop whose clock jumps over every wait: sockets are real, time is not.

Work takes no time there, so a server of known service law behaves exactly by its law however busy the machine is.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

GRACE_S = 0.00002
"""Real time in which bytes on their way through the kernel may still arrive before the clock jumps [s]."""


class _JumpingSelector:
    """A selector that, instead of waiting, moves the clock on by what it would have waited."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready and timeout != 0:
            time.sleep(GRACE_S)  # not the selector's own wait, whose least is a millisecond
            ready = self._real.select(0)
            self.now_s += 0.0 if ready else max(timeout or 0.0, 0.0)
        return ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; its time is that of its selector."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)  # type: ignore[arg-type]

    def time(self) -> float:
        """The clock [s]."""
        return self._jumping.now_s


def run_virtually(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run `work` to its end on a loop of virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())
