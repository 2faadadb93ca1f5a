"""Keeps programs running: waits until they answer, restarts what dies or hangs, ends all together.

`step` does what is due now and never waits, so that tests drive it with a clock of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cuvee.deploy.process import Program, ending_of, last_lines
from cuvee.errors import InputError


class State(StrEnum):
    """Of a program."""

    STARTING = "starting"
    READY = "ready"
    SILENT = "silent"
    WAITING = "waiting to restart"
    ENDED = "ended"


class Started(Protocol):
    """A program that runs, as `cuvee.deploy.process.Running` is one."""

    pid: int

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""

    def end(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it at once."""

    def reap(self) -> None:
        """Clear away what is left of it."""


class Health(Protocol):
    """Who answers, as `cuvee.deploy.health.Probes` asks."""

    def ask(self, urls: Sequence[str]) -> None:
        """Ask."""

    def heard(self) -> dict[str, int]:
        """Statuses that were answered since the last call, 0 where there was no answer."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long what may take.

    Attributes
        start_s      From start to first answer, of a program that starts for the first time or again [s].
        silent_s     Without an answer, after which a program that runs counts as hung and is killed [s].
        backoff_s    Wait before a restart [s], doubled at each further one up to `most_backoff_s`.
        settled_s    Time of serving after which the wait begins anew [s].
        grace_s      Time to end by itself, before it is killed [s].
        probe_s      Between two questions [s].
    """

    start_s: float = 600.0
    silent_s: float = 60.0
    backoff_s: float = 1.0
    most_backoff_s: float = 60.0
    settled_s: float = 60.0
    grace_s: float = 15.0
    probe_s: float = 0.5

    @property
    def drain_s(self) -> float:
        """Of `grace_s`, what a program may give requests under way: it has to close its connections as well [s]."""
        return max(self.grace_s - 1.0, self.grace_s / 2)

    def __post_init__(self) -> None:
        for name in ("start_s", "silent_s", "grace_s", "probe_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} = {getattr(self, name)!r}", expected="a time above 0 s")


@dataclass
class Member:
    """One program and what became of it.

    Attributes
        restarts      Times it was started again [-].
        begun_s       When it was started last.
        ready_s       Since when it answers.
        answered_s    When it answered last.
        due_s         When it is to be started again.
        reason        Why it ended last; "" of one that never did.
        was_ready     Whether it ever answered.
    """

    program: Program
    state: State = State.ENDED
    running: Started | None = None
    restarts: int = 0
    in_a_row: int = 0
    begun_s: float = 0.0
    ready_s: float = 0.0
    answered_s: float = 0.0
    due_s: float = 0.0
    reason: str = ""
    was_ready: bool = False


@dataclass
class Supervisor:
    """All programs.

    Attributes
        start    Starts a program.
        tell     Told a line on everything that happens.
    """

    programs: Sequence[Program]
    start: Callable[[Program], Started]
    health: Health
    patience: Patience
    tell: Callable[[str], None]
    members: list[Member] = field(init=False)
    _asked_s: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self.members = [Member(program) for program in self.programs]

    @property
    def is_ready(self) -> bool:
        """Whether all answer."""
        return all(member.state is State.READY for member in self.members)

    def begin(self, now_s: float) -> None:
        """Start all that have not been started."""
        for member in self.members:
            if member.running is None and member.state is State.ENDED:
                self._start(member, now_s)

    def add(self, program: Program, now_s: float) -> None:
        """One more, started at once."""
        member = Member(program)
        self.members.append(member)
        self._start(member, now_s)

    def step(self, now_s: float) -> None:
        """Hear who answers, clear away what ended, restart what is due.

        Raises      InputError: a program that has never answered ended, or takes too long; with the end of its log.
        """
        if now_s - self._asked_s >= self.patience.probe_s:
            self._asked_s = now_s
            self.health.ask([member.program.health_url for member in self.members if member.running is not None])
        heard = self.health.heard()
        for member in self.members:
            if member.running is None:
                if member.state is State.WAITING and now_s >= member.due_s:
                    member.restarts += 1
                    self._start(member, now_s)
                continue
            code = member.running.exit_code
            if code is not None:
                self._ended(member, ending_of(code), now_s)
            else:
                status = heard.get(member.program.health_url)
                self._hear(member, None if status is None else member.program.is_well(status), now_s)

    def end_all(self, now: Callable[[], float], wait: Callable[[float], None]) -> None:
        """End all, the last one first: the gateway, which has requests to finish, before its replicas."""
        for member in reversed(self.members[len(self.programs) :]):
            self._end([member], now, wait)
        self._end(self.members[: len(self.programs)], now, wait)

    def _end(self, members: Sequence[Member], now: Callable[[], float], wait: Callable[[float], None]) -> None:
        left = [member for member in members if member.running is not None]
        for member in left:
            if member.running is not None:
                member.running.end()
        until = now() + self.patience.grace_s
        while now() < until and any(each.running is not None and each.running.exit_code is None for each in left):
            wait(0.05)
        for member in left:
            if member.running is not None:
                member.running.reap()
            member.running, member.state = None, State.ENDED
        for member in members:
            member.state = State.ENDED

    def _start(self, member: Member, now_s: float) -> None:
        member.running = self.start(member.program)
        member.state, member.begun_s, member.answered_s = State.STARTING, now_s, now_s
        self.tell(f"{member.program.name}: started, pid {member.running.pid}")

    def _hear(self, member: Member, answered: bool | None, now_s: float) -> None:
        if answered:
            member.answered_s = now_s
            if member.state is not State.READY:
                after_s = now_s - (member.begun_s if member.state is State.STARTING else member.ready_s)
                word = f"ready after {after_s:.1f} s" if member.state is State.STARTING else "answers again"
                self.tell(f"{member.program.name}: {word}")
                member.ready_s, member.state, member.was_ready = now_s, State.READY, True
            elif now_s - member.ready_s > self.patience.settled_s:
                member.in_a_row = 0
            return
        if answered is False and member.state is State.READY:
            member.state = State.SILENT
            self.tell(f"{member.program.name}: does not answer")
        if member.state is State.STARTING and now_s - member.begun_s > self.patience.start_s:
            self._give_up(member, f"no answer within {self.patience.start_s:g} s", now_s)
        elif member.state is State.SILENT and now_s - member.answered_s > self.patience.silent_s:
            self._give_up(member, f"hung: no answer for {self.patience.silent_s:g} s", now_s)

    def _give_up(self, member: Member, reason: str, now_s: float) -> None:
        if member.running is not None:
            member.running.kill()
        self._ended(member, reason, now_s)

    def _ended(self, member: Member, reason: str, now_s: float) -> None:
        if member.running is not None:
            member.running.reap()
        member.running, member.reason = None, reason
        if not member.was_ready:
            raise InputError(
                f"{member.program.name} did not start: {reason}; the end of its log:\n{last_lines(member.program.log)}",
                expected=f"an engine that answers at {member.program.health_url}",
                remedy=f"see {member.program.log}, and try its command by hand: cuvee up --dry-run prints it",
            )
        delay_s = min(self.patience.backoff_s * 2**member.in_a_row, self.patience.most_backoff_s)
        member.in_a_row += 1
        member.state, member.due_s = State.WAITING, now_s + delay_s
        self.tell(f"{member.program.name}: {reason}; starts again in {delay_s:g} s")
