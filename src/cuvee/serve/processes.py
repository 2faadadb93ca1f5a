"""Several gateways on one port: this process only starts them, passes signals on and replaces what dies.

Each is a gateway of its own, with its share of every limit; the system spreads connections over them. What they do not
share is said in docs/gateway.md.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from cuvee.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

PAUSE_S = 0.2
"""Time between two looks at the processes [s]."""

SHORT_LIFE_S = 2.0
"""One that ends sooner is not replaced at once [s]."""


class Family:
    """Gateways that share a port.

    Parameters
        command    What starts one; `--process I --parent PID` is added.
        number     How many [-].
    """

    def __init__(self, command: Sequence[str], number: int) -> None:
        self.command = list(command)
        self.members: list[subprocess.Popen[bytes] | None] = [None] * number
        self.started_s = [0.0] * number
        self.is_ending = False
        self.told: set[int] = set()

    def run(self) -> None:
        """Keep them running until SIGTERM or Ctrl-C, and until all have ended then."""
        passed_on = [signal.SIGTERM, signal.SIGINT] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
        before = {number: signal.signal(number, self._pass_on) for number in passed_on}
        try:
            while not self.is_ending or any(each is not None and each.poll() is None for each in self.members):
                self._start_missing()
                self._tell_late()
                time.sleep(PAUSE_S)
        finally:
            for each in self.members:
                if each is not None and each.poll() is None:
                    each.kill()
                    each.wait()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start_missing(self) -> None:
        for place, each in enumerate(self.members):
            is_dead = each is None or each.poll() is not None
            if is_dead and not self.is_ending and time.monotonic() - self.started_s[place] > SHORT_LIFE_S:
                self.started_s[place] = time.monotonic()
                self.members[place] = subprocess.Popen(
                    [*self.command, "--process", str(place), "--parent", str(os.getpid())]
                )

    def _tell_late(self) -> None:
        """End those that a signal came too early for: while they were being started."""
        for each in self.members:
            if self.is_ending and each is not None and each.pid not in self.told and each.poll() is None:
                self.told.add(each.pid)
                each.send_signal(signal.SIGTERM)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self.is_ending = True
            number = signal.SIGTERM
        for each in self.members:
            if each is not None and each.poll() is None:
                self.told.add(each.pid)
                each.send_signal(number)


def reserved_port(host: str, port: int) -> socket.socket:
    """A socket that keeps a port for processes that share it, and takes no connection itself.

    Raises      InputError: the port is taken, or this system cannot share ports.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise InputError(
            "several processes", expected="a system that can share a port (Linux, macOS)", remedy="--processes 1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kept = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections that ended a minute ago keep no port, as for one process.
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind((host, port))
    except OSError as error:
        kept.close()
        raise InputError(
            f"{host}:{port} cannot be listened on ({error.strerror})",
            expected="a free port of this machine",
            remedy="choose another: --port",
        ) from None
    return kept


def own_command(arguments: Sequence[str]) -> list[str]:
    """The command that starts this program with other arguments."""
    return [sys.executable, "-m", "cuvee.cli.main", *arguments]
