"""Decisions of the supervisor, on a clock of its own and programs that do as they are told."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cuvee.deploy.fleet import FleetOptions, gateway_program
from cuvee.deploy.process import Program
from cuvee.deploy.supervisor import Patience, State, Supervisor
from cuvee.errors import InputError

PATIENCE = Patience(start_s=10, silent_s=5, backoff_s=1, most_backoff_s=4, settled_s=20, grace_s=3, probe_s=0.5)


@dataclass
class Puppet:
    """A program of which the test pulls the strings."""

    pid: int
    world: "World"
    exit_code: int | None = None
    obeys: bool = True
    told: list[str] = field(default_factory=list)
    ended_s: float | None = None

    def end(self):
        """Take SIGTERM."""
        self.told.append("end")
        self.ended_s = self.world.now
        if self.obeys:
            self.exit_code = 0

    def kill(self):
        """Take SIGKILL."""
        self.told.append("kill")

    def reap(self):
        """Be cleared away."""
        self.told.append("reap")


class World:
    """Programs, who of them answers, and the time."""

    def __init__(self, *names: str) -> None:
        self.started: dict[str, list[Puppet]] = {}
        self.silent: set[str] = set()
        self.busy: set[str] = set()
        self.lines: list[str] = []
        self.now = 0.0
        self.asked: list[str] = []
        programs = [Program(name, (name,), f"http://{name}", Path("/nowhere")) for name in names]
        self.supervisor = Supervisor(programs, self.start, self, PATIENCE, self.lines.append)
        self.supervisor.begin(0.0)

    def start(self, program):
        """Start a puppet."""
        puppets = self.started.setdefault(program.name, [])
        puppets.append(Puppet(len(puppets), self))
        return puppets[-1]

    def ask(self, urls):
        """Be asked."""
        self.asked = list(urls)

    def heard(self):
        """Answer."""
        names = {url: url.removeprefix("http://") for url in self.asked}
        self.asked = []
        return {url: 0 if name in self.silent else 503 if name in self.busy else 200 for url, name in names.items()}

    def pass_to(self, until: float) -> None:
        """Let time pass, a step each quarter of a second."""
        while self.now < until:
            self.now = round(self.now + 0.25, 2)
            self.supervisor.step(self.now)

    def wait(self, seconds: float) -> None:
        """Sleep."""
        self.now += seconds

    def state(self, place: int = 0) -> State:
        """State of one program."""
        return self.supervisor.members[place].state


def test_ready_once_all_answer():
    """One that loads for longer holds the whole back, and nothing is started twice meanwhile."""
    world = World("a", "b")
    world.silent = {"b"}
    world.pass_to(5)
    assert (world.state(0), world.state(1), world.supervisor.is_ready) == (State.READY, State.STARTING, False)
    world.silent = set()
    world.pass_to(6)
    assert world.supervisor.is_ready
    assert [len(each) for each in world.started.values()] == [1, 1]


def test_what_dies_is_started_again_later_each_time():
    """After 1, 2, 4, 4 s: at once would be a loop that only makes noise."""
    world, waits = World("a"), []
    world.pass_to(1)
    for _ in range(4):
        world.started["a"][-1].exit_code = -9
        world.pass_to(world.now + 0.25)
        assert world.state() is State.WAITING
        died = world.now
        while world.state() is State.WAITING:
            world.pass_to(world.now + 0.25)
        waits.append(world.now - died)
        world.pass_to(world.now + 1)
    assert waits == [1, 2, 4, 4]
    assert world.supervisor.members[0].restarts == 4
    assert any("killed by SIGKILL; starts again in 4 s" in line for line in world.lines)


def test_having_served_for_long_the_wait_begins_anew():
    """A death an hour after another is not the second in a row."""
    world = World("a")
    for expected in (1, 1):
        world.pass_to(world.now + 30)
        world.started["a"][-1].exit_code = 1
        world.pass_to(world.now + 0.25)
        assert world.supervisor.members[0].due_s - world.now == expected


def test_what_hangs_is_killed_and_started_again():
    """Silence of 5 s; a short one is none."""
    world = World("a")
    world.pass_to(2)
    world.silent = {"a"}
    world.pass_to(6)
    assert world.state() is State.SILENT
    world.silent = set()
    world.pass_to(7)
    assert (world.state(), len(world.started["a"])) == (State.READY, 1)
    world.silent = {"a"}
    world.pass_to(14)
    assert world.started["a"][0].told == ["kill", "reap"]
    assert len(world.started["a"]) == 2


def test_a_gateway_that_waits_for_replicas_is_not_killed():
    """Its 503 says that it has none; an engine that says so for as long is started again, and so is a mute gateway."""
    world = World("a")
    world.supervisor.add(gateway_program(Path("plan.json"), FleetOptions(folder=Path("/nowhere"))), 0.0)
    address = "127.0.0.1:8000/health"
    world.pass_to(2)
    world.busy = {"a", address}
    world.pass_to(12)
    assert (world.state(1), len(world.started["gateway"])) == (State.READY, 1)
    assert len(world.started["a"]) == 2
    world.silent = {address}
    world.pass_to(22)
    assert world.started["gateway"][0].told == ["kill", "reap"]


@pytest.mark.parametrize(("dies", "words"), [(True, "exit code 3"), (False, "no answer within 10 s")])
def test_what_never_starts_ends_it_all(dies, words):
    """Starting it over and over would hide the reason."""
    world = World("a", "b")
    world.silent = {"b"}
    if dies:
        world.started["b"][0].exit_code = 3
    with pytest.raises(InputError, match=f"b did not start: {words}"):
        world.pass_to(30)


def test_the_gateway_ends_before_its_replicas():
    """It has requests to finish on them; who does not end within 3 s is killed."""
    world = World("a", "b")
    world.supervisor.add(Program("gateway", ("gateway",), "http://gateway", Path("/nowhere")), 0.0)
    world.pass_to(1)
    world.started["gateway"][0].obeys = False
    world.supervisor.end_all(lambda: world.now, world.wait)
    ended_s = {name: puppets[0].ended_s for name, puppets in world.started.items()}
    assert ended_s == {"gateway": 1, "a": pytest.approx(4, abs=0.1), "b": pytest.approx(4, abs=0.1)}
    assert all(puppets[0].told[-1] == "reap" for puppets in world.started.values())
    assert {member.state for member in world.supervisor.members} == {State.ENDED}
