"""A real engine, where CUVEE_ENDPOINT names one: lengths are exact, nothing fails, and the figures agree."""

import asyncio
import os

import pytest

from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.measure.allowance import Caps
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.sweep import Listeners, Measuring, measure
from cuvee.workload.records import WorkloadType

LITTLE = 0.25
"""Gap between requests under way and rate x time of a request that a busy machine may bring [-]."""


@pytest.mark.skipif("CUVEE_ENDPOINT" not in os.environ, reason="CUVEE_ENDPOINT names no engine")
def test_a_real_engine(tmp_path):
    """Answers have the length asked for, prompts too; what is under way is the rate times the time of a request."""
    deployment = Deployment(gpu="L4", tp=1)
    options = MeasureOptions(first_concurrency=2, max_concurrency=8, loads=(0.5,), within=0.1, least_requests=20)
    types, caps = (WorkloadType("short", 48, 16),), Caps(max_requests=2000, max_seconds=90)
    asked = Measuring(
        os.environ["CUVEE_ENDPOINT"], deployment, types, options, caps, tmp_path / "record.json",
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
