"""Output and progress: results on stdout, everything else on stderr."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
"""Columns that every table fits into."""

QUIET_S = 1.0
"""Work shorter than this shows no progress [s]."""


def stdout(*, record: bool = False) -> "Console":
    """Console for results; at most WIDTH columns, colour only on a terminal."""
    from rich.console import Console

    console = Console(highlight=False, record=record)
    if not console.is_terminal or console.width > WIDTH:
        console.width = WIDTH
    return console


def print_json(value: Any) -> None:  # noqa: ANN401 any JSON value
    """Print `value` as JSON."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


class Progress:
    """What is being done and for how long; shown on a terminal once it takes longer than QUIET_S."""

    def __init__(self) -> None:
        self.text = ""
        self.started = time.monotonic()

    def __call__(self, text: str) -> None:
        """Say what is being done now."""
        self.text = text

    def line(self) -> str:
        """The line shown now."""
        return f"{self.text} ... {time.monotonic() - self.started:.0f} s"


@contextmanager
def working(text: str) -> Iterator[Progress]:
    """Show `text` and the seconds gone by on stderr while the body runs; nothing where stderr is no terminal."""
    progress = Progress()
    progress(text)
    if not sys.stderr.isatty():
        yield progress
        return
    done = threading.Event()
    painter = threading.Thread(target=_paint, args=(progress, done), daemon=True)
    painter.start()
    try:
        yield progress
    finally:
        done.set()
        painter.join()


def _paint(progress: Progress, done: threading.Event) -> None:
    if done.wait(QUIET_S):
        return
    while not done.wait(0.2):
        sys.stderr.write(f"\r\x1b[2K{progress.line()}")
        sys.stderr.flush()
    sys.stderr.write("\r\x1b[2K")
    sys.stderr.flush()
