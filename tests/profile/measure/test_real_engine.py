"""A real engine, llama.cpp or what CUVEE_ENDPOINT names: lengths are exact, nothing fails, and the figures agree."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request

import pytest

from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.measure.allowance import Caps
from cuvee.profile.measure.load_points import BUSY
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.sweep import Listeners, Measuring, measure
from cuvee.workload.records import WorkloadType

LITTLE = 0.15
"""Gap between requests under way and rate x time of a request, beside what the ends of a window explain [-]: what a
stream of the load generator takes from the end of one request to the next, some ms, more on a busy machine."""

WIDEST = 0.45
"""Gap up to which a window says anything [-]."""

OUTPUT_TOKENS = 128
"""Long enough for what a request takes in the load generator itself to be little beside it."""

TRIES = 2


@pytest.fixture
def endpoint(request):
    """Address of the engine to test."""
    return os.environ.get("CUVEE_ENDPOINT") or request.getfixturevalue("llama_server")


def gap_of(point):
    """Gap that the window itself allows [-]: at each end the requests under way count wholly, in part or not at all."""
    longest_s = max(point.end_to_end.percentiles_s.values())
    return LITTLE + (longest_s + point.end_to_end.mean_s) / point.window_s


def is_telling(point):
    """Whether neither the load generator nor a short window is what a held load shows, by its own account."""
    return point.busy_share <= BUSY and gap_of(point) <= WIDEST


def measured_points(endpoint, record):
    """Points of one measurement; their answers have the length asked for, and prompts too."""
    deployment = Deployment(gpu="L4", tp=1)
    options = MeasureOptions(
        first_concurrency=2, max_concurrency=4, loads=(0.5,), within=0.2, latency_within=0.3, least_requests=20,
        least_window_s=2.0, rounds=8,
    )  # fmt: skip
    types, caps = (WorkloadType("short", 48, OUTPUT_TOKENS),), Caps(max_requests=2000, max_time_s=60)
    asked = Measuring(
        endpoint, deployment, types, options, caps, record, served_name=os.environ.get("CUVEE_SERVED_NAME")
    )
    measured = asyncio.run(measure(asked, asyncio.Event(), Listeners()))
    assert measured.record.facts.engine
    assert measured.record.facts.version
    for point in measured.record.points:
        assert (point.failed, point.short) == (0, 0)
        assert point.output_tokens == OUTPUT_TOKENS
        assert point.input_tokens == pytest.approx(48, rel=0.05)
    return measured.record.points


def test_a_real_engine(tmp_path, endpoint):
    """Answers have the length asked for, prompts too; what is under way is the rate times the time of a request.

    The last is asked of loads that tell it by their own account. On a machine that is busy with other things none may,
    or the load generator may wait for a processor between two requests: then all is measured once more.
    """
    off = {}
    for attempt in range(TRIES):
        held = [each for each in measured_points(endpoint, tmp_path / f"{attempt}.json") if each.is_held]
        assert held
        off = {
            point.concurrency: point.rate_req_per_s * point.end_to_end.mean_s / point.concurrency - 1
            for point in held
            if is_telling(point)
        }
        if off and all(abs(off[each.concurrency]) <= gap_of(each) for each in held if each.concurrency in off):
            return
    if not off:
        pytest.skip("no load tells it: the machine is busy with other things")
    pytest.fail(f"rate x time over requests under way, less 1, by requests under way: {off}")


def tokens_of(url):
    """Prompt and answer tokens that the engine itself has counted."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    counted = dict(line.split() for line in lines if not line.startswith("#"))
    return sum(float(counted[f"llamacpp:{name}_total"]) for name in ("prompt_tokens", "tokens_predicted"))


def test_the_command_keeps_its_caps(tmp_path, llama_server):
    """`cuvee profile URL` measures a real engine and goes on where it ended; the engine sees no more than it may."""
    before = tokens_of(llama_server)
    command = [
        sys.executable, "-c", "from cuvee.cli import run; run()", "profile", llama_server, "--gpu", "l4", "--tp", "1",
        "--model", "llama-3-8b", "--lengths", "24x8", "--loads", "none", "--least-window", "0.2", "--within", "0.2",
        "-o", str(tmp_path / "points.csv"),
    ]  # fmt: skip
    for most, code in ((8, 1), (400, 0)):
        done = subprocess.run(
            [*command, "--max-requests", str(most), "--max-concurrency", "4"], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        record = json.loads((tmp_path / "points.record.json").read_text())
        assert record["sent"]["requests"] <= most
        assert tokens_of(llama_server) - before <= record["sent"]["tokens"] <= most * 40
