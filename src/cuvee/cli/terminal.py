"""Output and progress: results on stdout, everything else on stderr."""

import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

EXIT_INTERRUPTED = 130

NARROWEST = 60
"""Columns below which tables get no narrower: the terminal then breaks their lines, and no digit is lost."""

QUIET_S = 1.0
"""Work shorter than this shows no progress [s]."""


def stdout(*, record: bool = False) -> "Console":
    """Console for results, as wide as the terminal up to WIDEST, WIDTH elsewhere; colour only on a terminal."""
    from rich.console import Console

    from cuvee.report.style import WIDEST, WIDTH

    console = Console(highlight=False, markup=False, emoji=False, record=record)
    console.width = min(WIDEST, max(NARROWEST, console.width)) if console.is_terminal else WIDTH
    return console


def print_json(value: Any) -> None:  # noqa: ANN401 any JSON value
    """Print `value` as JSON; what is no finite number, and so none that JSON has, is null."""
    typer.echo(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:  # noqa: ANN401 any JSON value
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printable(text: str) -> str:
    """`text` with everything that could move the cursor as "?", but for line breaks."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)


def wrapped(text: str) -> str:
    """`text` with its lines broken between words where stderr is a terminal, their rest standing in by four columns.

    Elsewhere each line stays one, for whoever searches in it.
    """
    import textwrap

    if sys.stderr is None or not sys.stderr.isatty():
        return text
    with suppress(OSError):
        columns = max(NARROWEST, os.get_terminal_size(sys.stderr.fileno()).columns)
        fill = textwrap.TextWrapper(columns, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        return "\n".join(fill.fill(line) for line in text.split("\n"))
    return text


class InterruptedEarlyError(Exception):
    """Ctrl-C before there was anything to show."""


class Progress:
    """What is being done and for how long; shown on a terminal once it takes longer than QUIET_S.

    Attributes
        interrupted    Whether Ctrl-C was pressed: the solver takes that as a request to stop with what it has.
    """

    def __init__(self) -> None:
        self.text = ""
        self.started = time.monotonic()
        self.interrupted = False

    def __call__(self, text: str) -> None:
        """Say what is being done now; raises KeyboardInterrupt where nothing new should be begun."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.text = text

    def keep(self, text: str) -> None:
        """Print a line on stderr that stays, above the one that is shown now."""
        paint_over = "\r\x1b[2K" if sys.stderr is not None and sys.stderr.isatty() else ""
        typer.echo(paint_over + printable(text), err=True)

    def line(self) -> str:
        """The line shown now, cut to what the terminal is wide: a longer one could not be painted over."""
        after = f" ... {time.monotonic() - self.started:.0f} s"
        return self.text[: max(shutil.get_terminal_size().columns - len(after) - 1, 10)] + after


@contextmanager
def working(text: str) -> Iterator[Progress]:
    """Show `text` and the seconds gone by on stderr while the body runs; nothing where stderr is no terminal.

    The first Ctrl-C is a KeyboardInterrupt that the progress remembers, the second ends the process at once.

    Raises      InterruptedEarlyError: the body was ended by Ctrl-C, before it had something to show.
    """
    progress = Progress()
    progress(text)
    try:
        with _remembering_interrupts(progress), _painted(progress):
            yield progress
    except KeyboardInterrupt:
        raise InterruptedEarlyError from None


@contextmanager
def _remembering_interrupts(progress: Progress) -> Iterator[None]:
    def interrupt(_number: int, _frame: object) -> None:
        if progress.interrupted:
            os.write(2, b"interrupted\n")
            os._exit(EXIT_INTERRUPTED)  # the solver's own threads would hold up an orderly exit
        progress.interrupted = True
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield  # somebody else handles Ctrl-C, or it is switched off
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _painted(progress: Progress) -> Iterator[None]:
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    painter = threading.Thread(target=_paint, args=(progress, done), daemon=True)
    painter.start()
    try:
        yield
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
