"""`cuvee up` on real processes: what starts, what is started again, and that nothing is left behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cuvee.plan.outcome.files import plan_to_json
from cuvee.serve.keys import add_key

ROOT = Path(__file__).parents[2]
STUB = f"{sys.executable} -m tests.deploy.stub_engine {{port}}"
FIRST_PORT = 20_000 + os.getpid() % 2_000 * 10
"""Another one in each process of a test run."""

LONG = 60.0
"""Longest wait for anything [s]: a busy machine is slow."""


@pytest.fixture
def launch(tmp_path, plan):
    """Start `cuvee up` on the plan with stubs for engines; ended with the test, and so is all it started."""
    (tmp_path / "plan.json").write_text(plan_to_json(plan))
    started = []

    def run(*arguments, engine=STUB):
        command = [
            sys.executable, "-m", "cuvee.cli.main", "up", str(tmp_path / "plan.json"), "--engine", engine,
            "--dir", str(tmp_path / "fleet"), "--replica-port", str(FIRST_PORT), "--grace", "2", *arguments,
        ]  # fmt: skip
        with (tmp_path / "out.txt").open("wb") as log:
            started.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(LONG)


def said(tmp_path: Path) -> str:
    return (tmp_path / "out.txt").read_text()


def wait_for(holds, what):
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError(what)


def all_ready(tmp_path):
    wait_for(lambda: said(tmp_path).count(": ready after") >= 3, said(tmp_path))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def pids(tmp_path: Path) -> list[int]:
    """Engines and their children."""
    engines = re.findall(r"started, pid (\d+)", said(tmp_path))
    logs = "".join(path.read_text() for path in (tmp_path / "fleet" / "logs").glob("*.log"))
    return [int(pid) for pid in (*engines, *re.findall(r"worker (\d+)", logs))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path, launch, number):
    """However the launcher ends: Ctrl-C, SIGTERM, or kill -9, which it cannot notice. Engines' children go as well."""
    process = launch("--no-gateway")
    all_ready(tmp_path)
    left = pids(tmp_path)
    assert len(left) == 6
    assert all(map(is_alive, left))
    process.send_signal(number)
    assert process.wait(LONG) == (-9 if number == signal.SIGKILL else 0)
    wait_for(lambda: not any(map(is_alive, left)), f"{[pid for pid in left if is_alive(pid)]} still run")


def test_what_is_killed_comes_back(tmp_path, launch):
    """At the same address, with its children gone; the others are left alone."""
    launch("--no-gateway")
    all_ready(tmp_path)
    before = re.findall(r"(g\d\.\d): started, pid (\d+)", said(tmp_path))
    os.kill(int(dict(before)["g2.1"]), signal.SIGKILL)
    wait_for(lambda: said(tmp_path).count("g2.1: ready after") == 2, said(tmp_path))
    again = re.findall(r"(g\d\.\d): started, pid (\d+)", said(tmp_path))[len(before) :]
    assert [name for name, _ in again] == ["g2.1"]
    assert "killed by SIGKILL; starts again in 1 s" in said(tmp_path)
    assert sum(map(is_alive, pids(tmp_path))) == 6


def test_what_is_open_to_others_is_the_gateway_alone(tmp_path, plan):
    """Engines ask for no keys: they stay on this machine, whatever --host says, unless there is no gateway.

    The gateway has less time to finish than it is given to end: else it would be killed before it has.
    """
    (tmp_path / "plan.json").write_text(plan_to_json(plan))
    add_key(tmp_path / "keys.yaml", "ann")
    keys = ("--keys", str(tmp_path / "keys.yaml"))

    def printed(*words):
        asked = ("up", str(tmp_path / "plan.json"), "--engine", "x --host {host} --port {port}", "--dry-run")
        ports = ("--replica-port", str(FIRST_PORT), "--port", str(FIRST_PORT + 8), "--admin-port", "-1")
        command = [sys.executable, "-m", "cuvee.cli.main", *asked, *ports, "--host", "0.0.0.0", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout

    with_gateway = printed(*keys, "--grace", "20")
    assert re.findall(r"--host (\S+)", with_gateway) == ["127.0.0.1"] * 3 + ["0.0.0.0"]
    assert f"--drain-timeout 19 --keys {tmp_path / 'keys.yaml'}" in with_gateway
    assert re.findall(r"--host (\S+)", printed("--no-gateway")) == ["0.0.0.0"] * 3


def test_an_engine_that_does_not_start(tmp_path, launch):
    """Exit code 2, the end of its log, where to look, and none of the others left running."""
    (tmp_path / "engines.yaml").write_text(f"version: 1\ngroups: {{g1: {{command: '{STUB} --die'}}}}\n")
    assert launch("--no-gateway", "--engines", str(tmp_path / "engines.yaml")).wait(LONG) == 2
    text = said(tmp_path)
    assert "error: g1.0 did not start: exit code 3" in text
    assert "out of memory: 3 GB short\n  expected: " in text
    assert "\n  to do: " in text
    assert not any(map(is_alive, pids(tmp_path)))


def test_an_engine_that_never_answers(tmp_path, launch):
    """It is given up after the time that was given."""
    assert launch("--no-gateway", "--start-timeout", "1", engine=f"{STUB} --never").wait(LONG) == 2
    assert "did not start: no answer within 1 s" in said(tmp_path)
    wait_for(lambda: not any(map(is_alive, pids(tmp_path))), "still running")


def test_a_command_that_is_not_there(tmp_path, launch):
    """No traceback, and nothing left."""
    assert launch("--no-gateway", engine="no-such-engine {port}").wait(LONG) == 2
    assert "error: g1.0: 'no-such-engine' cannot be started (no such file or directory)" in said(tmp_path)


def test_the_replicas_file_names_them_all(tmp_path, launch):
    """A line for each replica, with its group."""
    launch("--no-gateway")
    all_ready(tmp_path)
    text = (tmp_path / "fleet" / "replicas.yaml").read_text()
    assert re.findall(r"group: (\S+)\n  name: (\S+)", text) == [("g1", "g1.0"), ("g2", "g2.0"), ("g2", "g2.1")]
    assert len(set(re.findall(r"url: http://127.0.0.1:(\d+)", text))) == 3
