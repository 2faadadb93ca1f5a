"""What only a process of its own shows: pipes, signals, encodings, terminals."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

SLOW = ("--offers", "market", "--budget", "300", "--gap", "0")
"""Every offer of the market and no tolerance: a minute of candidates and solving."""


def wait(process: "subprocess.Popen[bytes]", seconds: float = 30) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C", "TERM": "dumb", "NO_COLOR": "1"},
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "latin-1"},
    ],
)
def test_a_terminal_without_unicode_gets_ascii(start, small, environment):
    """Names that it cannot show lose characters, not the plan."""
    (small / "mix-é模.csv").write_text((small / "mix.csv").read_text().replace("long", "模型"))
    process = start("plan", "scenario.yaml", "--mix", "mix-é模.csv", environment=environment)
    out_bytes, err_bytes = process.communicate(timeout=30)
    out, err = out_bytes.decode("latin-1"), err_bytes.decode("latin-1")
    assert (process.returncode, err) == (0, "")
    assert "|+ | g1 |" in out
    assert max(map(len, out.splitlines())) <= 100


def test_a_reader_that_stops_reading_makes_no_noise(start, small):
    """`cuvee plan | head -1`, and a reader that is gone before the first line: 141. Tempting: 1, which says no plan."""
    for arguments in (["plan", "scenario.yaml"], ["plan", "scenario.yaml", "--json"], ["gpus"], ["gpus", "--json"]):
        read, write = os.pipe()
        os.close(read)
        process = start(*arguments, stdout=write)
        os.close(write)
        _, err = process.communicate(timeout=30)
        assert err == b""
        assert process.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110 a device
@pytest.mark.parametrize("arguments", [["plan", "scenario.yaml"], ["gpus", "--json"]])
def test_a_full_disk_is_a_message(start, small, arguments):
    """Not a traceback, not a complaint on exit."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123 a device
        process = start(*arguments, stdout=full)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.startswith(b"error: the output cannot be written (no space left on device)\n  expected: ")


@pytest.mark.parametrize("command", ["plan", "compare", "explain"])
def test_ctrl_c_ends_a_long_run_at_once_and_says_so(start, tmp_path, command):
    """Exit code 130, no traceback, nothing half-written; one Ctrl-C is enough where many plans are solved."""
    process = start(command, *SLOW, *(["--save-dir", "out"] if command == "plan" else []))
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    code, out, err = wait(process, 15)
    # -2 is 130 in a shell: Python dies of the signal where it hit an exec(), as in the making of a dataclass.
    assert code in (130, -signal.SIGINT)
    # A plan that was found in time is written and printed first.
    nothing = err == "interrupted before there was a result: nothing is shown or written\n"
    assert nothing or (command == "plan" and err.endswith("\ninterrupted\n"))
    assert out == "" or command == "plan"
    assert not (nothing and (tmp_path / "out").exists())
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_command_takes_ctrl_c_before_anything_else_is_imported():
    """Up to the line from which Ctrl-C is handled nothing but the package itself is imported, not even `typing`."""
    imported = "import sys; known = set(sys.modules); import cuvee.cli; print(*sorted(set(sys.modules) - known))"
    code = subprocess.run([sys.executable, "-c", imported], capture_output=True, text=True, check=True)
    assert code.stdout.split() == ["cuvee", "cuvee._version", "cuvee.cli"]


def test_ctrl_c_while_the_command_is_imported_is_one_line():
    """130 and a word, no traceback. Tempting: to end without a word, which looks like a run that did nothing."""
    code = (
        "import sys, cuvee.cli\n"
        "class Pressed:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'cuvee.cli.planning': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "cuvee.cli.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_while_solving_prints_the_best_plan_so_far(start, tmp_path):
    """A minute of solving, interrupted as soon as the progress line says that it has begun: a plan with its gap."""
    ours, theirs = pty.openpty()
    process = start("plan", *SLOW, "--json", stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"solving over" not in shown and select.select([ours], [], [], 60)[0]:
        shown += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 130
    record = json.loads(out)
    assert (record["termination"], record["stopped_by"]) == ("feasible", "interrupted")
    assert record["groups"]
    assert 0 < record["gap"] < 1
    assert record["bound"] > record["rate_req_per_s"]
    (tmp_path / "plan.json").write_text(json.dumps(record))
    assert wait(start("check", "plan.json"))[0] == 0


def test_ctrl_c_in_the_middle_of_a_simulation(start, small):
    """A million requests, interrupted once their play has begun: 130 and a word, no traceback, and no part of --out."""
    plan = start("plan", "scenario.yaml", "--json")
    (small / "plan.json").write_text(wait(plan)[1])
    ours, theirs = pty.openpty()
    asked = ("--requests", "1000000", "--policy", "least-work", "--out", "requests.csv", "--json")
    process = start("simulate", "plan.json", *asked, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"simulating" not in shown and select.select([ours], [], [], 300)[0]:  # the kernel may be compiled before
        shown += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    while select.select([ours], [], [], 1)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed, and everything read
            break
    os.close(ours)
    assert b"simulating" in shown
    assert b"interrupted before there was a result: nothing is shown or written" in b" ".join(shown.split())
    assert b"Traceback" not in shown
    assert (process.returncode, out) == (130, b"")
    assert {each.name for each in small.iterdir()} == {"scenario.yaml", "mix.csv", "offers.csv", "plan.json"}


def test_a_killed_run_leaves_the_old_files_whole(start, small):
    """SIGKILL at any time during --save-dir: each file is the old one or the new one."""
    first = start("plan", "scenario.yaml", "--save-dir", "out")
    assert wait(first)[0] == 0
    for delay in (0.4, 0.8):
        process = start("plan", "scenario.yaml", "--budget", "2", "--save-dir", "out")
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert json.loads((small / "out" / "plan.json").read_text())["schema_version"] == 1


def test_two_runs_into_one_folder_leave_whole_files(start, small):
    """Whoever wins, the plan parses and the check holds."""
    runs = [start("plan", "scenario.yaml", "--budget", budget, "--save-dir", "out") for budget in ("2", "3")]
    assert [wait(run)[0] for run in runs] == [0, 0]
    assert wait(start("check", "out/plan.json"))[0] == 0


def on_terminal(arguments: tuple[str, ...], folder, columns: int, environment: dict[str, str], code: int = 0) -> str:
    """Output of the command on a terminal of `columns` columns, stdout and stderr together."""
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "TERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cuvee.cli.main", *arguments], stdout=theirs, stderr=theirs, stdin=theirs, cwd=folder,
        env={**inherited, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and select.select([ours], [], [], 30)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    assert process.wait(timeout=30) == code
    os.close(ours)
    return shown.decode()


def test_a_terminal_gets_colour_unless_it_says_no(small):
    """NO_COLOR and TERM=dumb are obeyed."""
    green = "\x1b[1;32m"
    assert green in on_terminal(("plan", "scenario.yaml"), small, 100, {})
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert green not in on_terminal(("plan", "scenario.yaml"), small, 100, environment)


@pytest.mark.parametrize("columns", [60, 20, 300])
def test_a_terminal_of_any_width_gets_tables_of_60_to_160_columns(small, columns):
    """No digit is cut; what is narrower still breaks the lines itself."""
    shown = on_terminal(("plan", "scenario.yaml"), small, columns, {"NO_COLOR": "1", "TERM": "xterm"})
    lines = re.sub(r"\x1b\[[\d;]*[mK]", "", shown).splitlines()
    assert max(map(len, lines)) <= max(60, min(columns, 160))
    assert "…" not in shown


NAME = "a-run-whose-name-is-so-long-that-a-table-of-100-columns-has-to-fold-it"


def test_a_wide_terminal_gets_wide_tables(small):
    """A name that 100 columns fold stands on one line of 150. Tempting: to stop at 100 and leave a third blank."""
    (small / "points.csv").write_text(f"id,gpu,model,engine,isl,osl,req_s\n{NAME},A40,llama-3-8b,vllm,500,500,3\n")
    plain = {"NO_COLOR": "1", "TERM": "xterm"}
    narrow, wide = (on_terminal(("score", "points.csv"), small, columns, plain) for columns in (100, 150))
    assert NAME in wide
    assert NAME not in narrow


def test_messages_are_broken_between_words_on_a_terminal(small):
    """At 80 columns no line is longer, no word is cut, and a pipe gets each part on one line as ever."""
    (small / "points.csv").write_text("a,b\n1,2\n")
    shown = on_terminal(("score", "points.csv"), small, 80, {"NO_COLOR": "1", "TERM": "xterm"}, code=2)
    lines = re.sub(r"\x1b\[[\d;]*[mK]", "", shown).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80
    assert "concurrency, request_rate" in " ".join(shown.split())


def test_the_package_runs_as_a_module():
    """`python -m cuvee` is the command line, for where no script is on the path."""
    done = subprocess.run([sys.executable, "-m", "cuvee", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cuvee ")
