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
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.sweep import Listeners, Measuring, measure
from cuvee.workload.records import WorkloadType

LITTLE = 0.25
"""Gap between requests under way and rate x time of a request that a busy machine may bring [-]."""


@pytest.fixture
def endpoint(request):
    """Address of the engine to test."""
    return os.environ.get("CUVEE_ENDPOINT") or request.getfixturevalue("llama_server")


def test_a_real_engine(tmp_path, endpoint):
    """Answers have the length asked for, prompts too; what is under way is the rate times the time of a request."""
    deployment = Deployment(gpu="L4", tp=1)
    options = MeasureOptions(
        first_concurrency=2, max_concurrency=4, loads=(0.5,), within=0.1, latency_within=0.3, least_requests=20,
        least_window_s=2.0,
    )  # fmt: skip
    types, caps = (WorkloadType("short", 48, 16),), Caps(max_requests=2000, max_seconds=90)
    asked = Measuring(
        endpoint, deployment, types, options, caps, tmp_path / "record.json",
        served_name=os.environ.get("CUVEE_SERVED_NAME"),
    )  # fmt: skip
    measured = asyncio.run(measure(asked, asyncio.Event(), Listeners()))
    assert measured.record.facts.engine
    assert measured.record.facts.version
    held = [point for point in measured.record.points if point.is_held]
    assert held
    for point in measured.record.points:
        assert (point.failed, point.short) == (0, 0)
        assert point.output_tokens == 16
        assert point.input_tokens == pytest.approx(48, rel=0.05)
    for point in held:
        assert point.end_to_end
        assert point.rate_req_per_s * point.end_to_end.mean_s == pytest.approx(point.concurrency, rel=LITTLE)


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
