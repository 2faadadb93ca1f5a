"""`cuvee profile`: from an endpoint to a table that calibrate, score and plan take; what is refused; Ctrl-C."""

import asyncio
import csv
import json
import signal
import sys
import threading
import time

import pytest

from cuvee.cli import profiling
from cuvee.files import held_alone
from tests.profile.measure.server import Law, Manners, Server, free_port
from tests.profile.measure.virtual_time import run_virtually

LAW = Law(slots=4, step_s=0.2, sequence_s=0.05, prompt_token_s=0.001)
DEPLOYED = ("--gpu", "a100-80gb", "--tp", 1, "--model", "llama-3-8b")
BRIEF = (*DEPLOYED, "--lengths", "30x6", "--lengths", "60x3", "--loads", "none", "--max-concurrency", 16)


@pytest.fixture
def measured(cuvee, monkeypatch):
    """Run `cuvee profile` against a server, both in virtual time; the address stays the same within a test."""
    port = free_port()

    def run(*arguments, manners=None, **environment):
        servers = []

        async def beside(work):
            async with Server(LAW, manners or Manners()).serving(port) as server:
                servers.append(server)
                return await work

        monkeypatch.setattr(profiling, "_run", lambda work: run_virtually(lambda: beside(work)))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        result = cuvee("profile", f"http://127.0.0.1:{port}", *map(str, arguments))
        return result, servers[0] if servers else None

    return run


def test_a_table_for_the_others(measured, cuvee, tmp_path):
    """The table is read by score, calibrate and plan; the record stands beside it; nothing is doubted."""
    points = tmp_path / "points.csv"
    result, server = measured("-o", points, *BRIEF)
    assert result.code == 0
    assert "vllm 0.11.2" in result.out
    assert f"next: cuvee score {points}" in " ".join(result.out.split())
    assert "in30-out6: 8 under way" in result.err
    assert max(map(len, result.out.splitlines())) <= 100
    rows = list(csv.DictReader(points.read_text().splitlines()))
    best = [row for row in rows if row["note"].startswith("saturated")]
    assert [(row["isl"], row["osl"]) for row in best] == [("30", "6"), ("60", "3")]
    for row in best:
        truth = LAW.saturated_req_per_s(float(row["isl"]), float(row["osl"]))
        assert float(row["req_s"]) == pytest.approx(truth, rel=0.05)
    assert {row["doubtful"] for row in rows} == {"no"}
    record = json.loads((tmp_path / "points.record.json").read_text())
    assert record["sent"]["requests"] == server.requests
    scored = json.loads(cuvee("score", points, "--json").out)
    assert len(scored["comparisons"]) == len(rows)
    constants = tmp_path / "calibration.json"
    assert cuvee("calibrate", points, "--save", constants).code == 0
    question = ("--model", "llama-3-8b", "--offers", "paper-avail-1", "--budget", "4", "--time-limit", "20")
    (tmp_path / "mix.csv").write_text("input_tokens,output_tokens,share\n30,6,1\n")
    planned = cuvee("plan", *question, "--mix", tmp_path / "mix.csv", "--throughput", points, "--json")
    assert planned.code == 0
    assert "measured" in planned.out


def test_json_has_every_figure(measured, tmp_path):
    """Intervals, percentiles, counts and engine settings; the same numbers as in the table."""
    result, _ = measured("-o", tmp_path / "p.csv", *DEPLOYED, "--lengths", "30x6", "--loads", "0.5", "--json")
    found = json.loads(result.out)
    held, paced = found["points"][0], found["points"][-1]
    assert held["concurrency"]
    assert 0 < held["half_width_req_per_s"] < 0.05 * held["rate_req_per_s"]
    assert paced["load"] == 0.5
    assert paced["ttft"]["count"] == paced["completed"] >= 100
    assert set(paced["end_to_end"]["percentiles_s"]) == {"50", "90", "95", "99"}
    assert paced["inter_token"]["mean_s"] > 0
    assert found["server"]["settings"]["block_size"] == "16"
    assert [point["is_saturated_rate"] for point in found["points"]].count(True) == 1


def test_nothing_is_sent_dry(cuvee, tmp_path):
    """Neither a request nor a question: there is no server. Caps, lengths and about how much are told."""
    result = cuvee(
        "profile",
        "http://127.0.0.1:9",
        "-o",
        tmp_path / "p.csv",
        *map(str, BRIEF),
        "--max-requests",
        "500",
        "--dry-run",
    )
    assert result.code == 0
    assert "nothing is sent: 2 workload types" in result.out
    assert "at most 500 requests, 20 min" in result.out
    assert "together about" in result.out
    assert not list(tmp_path.iterdir())
    unknown = cuvee(
        "profile", "http://x", "-o", tmp_path / "p.csv", "--model", "my-own", "--lengths", "10x10", "--dry-run"
    )
    assert unknown.code == 0
    assert "not known" in unknown.out
    record = cuvee("profile", "http://x", "-o", tmp_path / "p.csv", *map(str, BRIEF), "--dry-run", "--json")
    assert json.loads(record.out)["types"][0]["expected"]["requests"] > 0


def test_types_of_a_trace_and_a_mix(measured, cuvee, tmp_path):
    """The same types that a plan makes of them."""
    trace = tmp_path / "trace.csv"
    at = "2024-05-10 00:00:00.0"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + f"{at},30,6\n" * 3 + f"{at},60,3\n")
    lengths = ("--trace", trace, "--types", "2")
    dry = cuvee("profile", "http://x", "-o", tmp_path / "p.csv", *lengths, "--dry-run", "--json")
    types = json.loads(dry.out)["types"]
    assert sorted((each["input_tokens"], each["output_tokens"]) for each in types) == [(30, 6), (60, 3)]
    mix = cuvee("profile", "http://x", "-o", tmp_path / "p.csv", "--mix", "trace-2", "--dry-run", "--json")
    assert len(json.loads(mix.out)["types"]) == 9


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("http://x", *DEPLOYED), "one of --trace FILE, --mix NAME and --lengths"),
        (("http://x", *DEPLOYED, "--lengths", "30x6", "--mix", "trace-1"), "from --mix and --lengths"),
        (("http://x", *DEPLOYED, "--lengths", "30"), "such as 2455x510"),
        (("http://x", *DEPLOYED, "--lengths", "0x6"), "such as 2455x510"),
        (("http://x", *DEPLOYED, "--mix", "trace-1", "--types", "3"), "--types 3 without a trace"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--loads", "1"), "the queue grows"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--loads", "half"), "--loads 'half'"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--within", "0"), "within = 0"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--api", "soap"), "completions, chat"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--api", "chat", "--prompts", "tokens"), "chat API"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--max-requests", "0"), "max_requests = 0"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--max-seconds", "nan"), "max_time_s = nan"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--api-key-env", "NO_SUCH_KEY"), "NO_SUCH_KEY: not set"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--seed", "-1"), "from 0 to 9,223,372,036,854,775,807"),
        (("http://x", *DEPLOYED, "--lengths", "3x6", "--seed", 2**63), "from 0 to 9,223,372,036,854,775,807"),
        (("http://x", "--gpu", "h1000", "--lengths", "3x6"), "unknown GPU type"),
        (("x:8000", *DEPLOYED, "--lengths", "3x6"), "http://HOST:PORT"),
        (("http://127.0.0.1:9", *DEPLOYED, "--lengths", "3x6"), "no server at"),
    ],
)
def test_bad_input(cuvee, tmp_path, arguments, expected):
    """Ends with 2, three parts and no file."""
    result = cuvee("profile", *map(str, arguments), "-o", tmp_path / "p.csv")
    assert result.code == 2
    assert expected in result.err
    assert "to do:" in result.err
    assert not list(tmp_path.iterdir())


def test_nobody_says_what_serves(measured, tmp_path):
    """Without a GPU nothing is sent: points of nothing would be worth nothing."""
    result, server = measured("-o", tmp_path / "p.csv", "--lengths", "30x6")
    assert (result.code, server.requests) == (2, 0)
    assert "--gpu H100-SXM --tp 2" in result.err


def test_caps_and_going_on(measured, tmp_path):
    """60 requests are told and kept; the same with more goes on; another deployment is refused; --force begins anew."""
    points = tmp_path / "p.csv"
    first, server = measured("-o", points, *BRIEF, "--max-requests", 60)
    assert (first.code, server.requests) == (0, 60)
    assert "ended early: 60 requests are sent (--max-requests)" in first.out
    kept = points.read_text().splitlines()
    other, server = measured("-o", points, *BRIEF, "--tp", 2)
    assert (other.code, server.requests) == (2, 0)
    assert "was measured with tp = 1, and now it is 2" in other.err
    assert points.read_text().splitlines() == kept
    second, _ = measured("-o", points, *BRIEF)
    assert second.code == 0
    assert "ended early" not in second.out
    assert len(points.read_text().splitlines()) > len(kept)
    third, server = measured("-o", points, *BRIEF)
    assert (third.code, server.requests) == (0, 0)
    anew, server = measured("-o", points, *BRIEF, "--max-requests", 5, "--force")
    assert (anew.code, server.requests) == (1, 5)


@pytest.mark.parametrize("anew", [(), ("--force",)])
def test_one_run_at_a_time_for_each_record(measured, tmp_path, anew):
    """A second run of the same record sends nothing; what a killed run left behind holds nobody up."""
    points, record = tmp_path / "p.csv", tmp_path / "p.record.json"
    with held_alone(record, "wait"):
        result, server = measured("-o", points, *BRIEF, *anew)
    assert (result.code, server.requests) == (2, 0)
    assert f"{record}: another run is writing it" in result.err
    assert not list(tmp_path.iterdir())
    (tmp_path / "p.record.json.lock").touch()
    result, server = measured("-o", points, *BRIEF, "--max-requests", 5, *anew)
    assert server.requests == 5
    assert {path.name for path in tmp_path.iterdir()} == {"p.record.json"}


def test_a_server_that_dies_between_two_points(measured, tmp_path):
    """The points stand on the screen, the error says where they are saved; 2, as nobody knows the rest."""
    points = tmp_path / "p.csv"
    result, _ = measured("-o", points, *BRIEF, manners=Manners(dies_after=200))
    kept = len(points.read_text().splitlines()) - 1
    assert result.code == 2
    assert kept >= 2
    assert f"{kept} points of 2 workload types" in result.out
    assert f"{kept} points measured before: {points}\n" in result.err
    assert "HTTP 503" in result.err
    again, _ = measured("-o", points, *BRIEF, "--json", manners=Manners(dies_after=0))
    assert (again.code, len(json.loads(again.out)["points"])) == (2, kept)
    assert "HTTP 503" in json.loads(again.out)["failure"]


def test_a_table_of_other_origin_stays(cuvee, tmp_path):
    """But with --force."""
    points = tmp_path / "p.csv"
    points.write_text("precious")
    result = cuvee("profile", "http://127.0.0.1:9", "-o", points, *map(str, BRIEF))
    assert (result.code, points.read_text()) == (2, "precious")
    assert "--force" in result.err


def test_what_is_doubted(measured, tmp_path):
    """A prefix cache, answers that end early later on: in the table with the reason, and marked."""
    result, _ = measured("-o", tmp_path / "p.csv", *BRIEF, manners=Manners(cached_share=0.5))
    assert result.code == 0
    assert "a prefix cache had 50% of the prompt tokens" in " ".join(result.out.split())
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert {row["doubtful"] for row in rows} == {"yes"}
    assert "every point is doubtful" in result.out
    assert "next:" not in result.out  # calibrate and score would have no point


def test_what_a_plan_would_refuse_is_told_with_what_to_raise(measured, tmp_path):
    """Two under way are not saturated: the run itself says so. Tempting: to leave that to `cuvee plan`, hours later."""
    result, _ = measured("-o", tmp_path / "p.csv", *BRIEF[:-1], 2)
    said = " ".join(result.out.split())
    assert "not shown to be saturated: in30-out6: cuvee plan leaves its rate out" in said
    assert "go on with a --max-concurrency above 2" in said


def test_windows_that_make_every_point_doubtful(measured, tmp_path):
    """Told before anything is sent, and of no window of 10 s."""
    for window_s, is_told in ((4, True), (10, False)):
        run = ("-o", tmp_path / f"{window_s}.csv", *BRIEF, "--least-window", window_s, "--max-requests", 1)
        result, _ = measured(*run)
        told = f"note: --least-window {window_s}: points of windows below 10 s are marked doubtful"
        assert result.err.startswith(told) is is_told


def test_the_key_comes_from_the_environment(measured, tmp_path):
    """It opens the server, and stands in no output and no file."""
    result, _ = measured(
        "-o", tmp_path / "p.csv", *BRIEF, "--api-key-env", "MY_KEY", manners=Manners(key="s3cret"), MY_KEY="s3cret"
    )
    assert result.code == 0
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "s3cret" not in written + result.out + result.err


@pytest.mark.parametrize(
    "address",
    ["http://me:s3cret@h:1", "http://me:s3#cret@h", "http://h:1/v1?key=s3cret", "http://h/?a=b@s3cret", "me:s3cret@h"],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",), ("--dry-run", "--json")])
def test_a_secret_in_the_address_is_told_nowhere(cuvee, tmp_path, address, dry):
    """Refused before anything is said of what is going to happen."""
    result = cuvee("profile", address, "-o", tmp_path / "p.csv", *map(str, BRIEF), *dry)
    assert result.code == 2
    assert "--api-key-env" in result.err
    assert "s3" not in result.out + result.err


def test_a_key_with_a_line_break_is_refused_unseen(cuvee, tmp_path, monkeypatch):
    """The variable is named, its value is not. Tempting: to let the HTTP library tell what header it refuses."""
    monkeypatch.setenv("MY_KEY", "s3cret\nX-Other: 1")
    result = cuvee(
        "profile", "http://127.0.0.1:9", "-o", tmp_path / "p.csv", *map(str, BRIEF), "--api-key-env", "MY_KEY"
    )
    assert result.code == 2
    assert "MY_KEY" in result.err
    assert "control character" in result.err
    assert "s3cret" not in result.out + result.err


def test_without_aiohttp(cuvee, monkeypatch, tmp_path):
    """A message that names the extra."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    result = cuvee("profile", "http://127.0.0.1:9", "-o", tmp_path / "p.csv", *map(str, BRIEF))
    assert result.code == 2
    assert "cuvee[measure]" in result.err


def test_interrupted(start, tmp_path):
    """In real time: Ctrl-C ends with 130 and keeps what is measured; the same command goes on to the end."""
    quick = Law(slots=4, step_s=0.004, sequence_s=0.001)
    ready, done, servers = threading.Event(), threading.Event(), []

    async def serve():
        async with Server(quick).serving() as server:
            servers.append(server)
            ready.set()
            while not done.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        points = tmp_path / "p.csv"
        short = ("--least-window", "0.5", "--within", "0.2", "--max-seconds", "60")
        command = ("profile", servers[0].url, "-o", points, *BRIEF, *short)
        process = start(*command)
        until = time.monotonic() + 30
        while not points.exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert b"interrupted: the same command goes on" in out
        kept = next(csv.DictReader(points.read_text().splitlines()))["req_s"]
        process = start(*command)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert kept == next(csv.DictReader(points.read_text().splitlines()))["req_s"]
        assert b"in60-out3" in out
    finally:
        done.set()
        thread.join()
