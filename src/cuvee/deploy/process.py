"""One process of the fleet: started in a group of its own, its output in a file, ended with all its children."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from cuvee.deploy.guardian import Guardian
from cuvee.errors import InputError

LAST_LINES = 15
MOST_LOG_BYTES = 20_000


@dataclass(frozen=True)
class Program:
    """What is started.

    Attributes
        name           For people and for the log's file.
        command        Its words.
        environment    Variables beside those of the launcher.
        cpus           Processors it may run on; () for all.
        health_url     Answers 200 when it serves.
        is_well_at_any_status  Whether it is well whatever it answers there: a gateway answers 503 while it waits for
                       replicas, and to end it would not bring them back.
        log            File of its output.
    """

    name: str
    command: tuple[str, ...]
    health_url: str
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    cpus: tuple[int, ...] = ()
    is_well_at_any_status: bool = False

    def is_well(self, status: int) -> bool:
        """Whether it serves, by the status of its answer; 0 of none."""
        return status == HTTPStatus.OK or (status > 0 and self.is_well_at_any_status)


class Running:
    """A program that runs, or ran.

    Parameters
        guardian    Ends it when the launcher is gone.
    Raises          InputError: no such command, or processors that are not there.
    """

    def __init__(self, program: Program, guardian: Guardian) -> None:
        self.program = program
        self._guardian = guardian
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            log.write(f"\n== {time.strftime('%F %T')} {' '.join(program.command)}\n".encode())
            log.flush()
            try:
                self._process = subprocess.Popen(
                    program.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**os.environ, **program.environment}, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise InputError(
                    f"{program.name}: {program.command[0]!r} cannot be started ({(error.strerror or '').lower()})",
                    expected="a command of this machine",
                    remedy="install the engine, or name another one with --engine or --engines",
                ) from None
        self.pid = self._process.pid
        guardian.watch(self.pid)
        self._pin(program.cpus)

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs. Negative: by that signal."""
        return self._process.poll()

    def end(self) -> None:
        """Ask it and its children to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children at once."""
        self._send(signal.SIGKILL)

    def reap(self) -> None:
        """Clear away what is left of a program that has ended."""
        self._send(signal.SIGKILL)
        self._process.wait()
        self._guardian.forget(self.pid)

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _pin(self, cpus: Sequence[int]) -> None:
        if not cpus:
            return
        try:
            os.sched_setaffinity(self.pid, cpus)
        except ProcessLookupError:
            return
        except (AttributeError, OSError, ValueError):
            self.reap()
            raise InputError(
                f"{self.program.name}: processors {','.join(map(str, cpus))}",
                expected="processors of this machine, which runs Linux", remedy="correct cpus: in the engines file",
            ) from None  # fmt: skip


def last_lines(log: Path) -> str:
    """The end of a log, for messages."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MOST_LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LAST_LINES:])


def ending_of(code: int) -> str:
    """How a program ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
