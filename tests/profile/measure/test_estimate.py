"""What a measurement is said to take before it begins."""

import pytest

from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.measure.allowance import Caps
from cuvee.profile.measure.estimate import expected_of
from cuvee.profile.measure.options import MeasureOptions
from cuvee.workload.records import WorkloadType
from tests.profile.measure.measuring import run

H100 = Deployment(gpu="h100", tp=1, model="llama-3-8b")
BRIEF = WorkloadType("in100-out20", 100, 20)


def expected(most, **options):
    """What `BRIEF` takes with at most that many under way."""
    (found,) = expected_of(H100, [BRIEF], MeasureOptions(max_concurrency=most, **options))
    assert found
    return found


def test_a_cap_on_requests_under_way_is_no_share_of_the_rate():
    """16 and 32 under way are saturated: windows of 10 s at the rate twice, at half and at 85 % of it.

    Tempting: 32/1024 of the saturated rate, 339 requests in 6 minutes.
    """
    found = expected(32, loads=(0.5, 0.85))
    assert [load.concurrency for load in found.loads[:2]] == [16, 32]
    windows = found.rate_req_per_s * 10 * (1 + 1 + 0.5 + 0.85)
    assert windows < found.requests < 1.1 * windows
    assert 40 < found.seconds < 44


def test_fewer_under_way_take_no_longer():
    """Where each is saturated, a cap of 16 takes no more time than one of 1024. Tempting: 10 minutes against 3."""
    seconds = [expected(most).seconds for most in (16, 64, 256, 1024)]
    assert seconds == sorted(seconds)


def test_the_rate_told_is_that_of_the_loads_that_come():
    """One under way is served far below the saturated rate, and no more than that is told."""
    assert expected(1).rate_req_per_s < expected(2).rate_req_per_s < 0.5 * expected(1024).rate_req_per_s


def test_replicas_share_what_is_under_way():
    """Two requests keep two of four replicas busy. Tempting: four, each with one request at least."""
    four = Deployment(gpu="h100", tp=1, model="llama-3-8b", replicas=4)
    (found,) = expected_of(four, [BRIEF], MeasureOptions(max_concurrency=2))
    assert found
    assert found.rate_req_per_s == pytest.approx(2 * expected(1).rate_req_per_s)


@pytest.mark.parametrize("caps", [Caps(max_requests=400), Caps(max_tokens=400 * 36)])
def test_the_time_left_heeds_every_cap(caps):
    """At no moment more than twice what 400 requests took is told. Tempting: the ten hours of --max-seconds."""
    told = list[str]()
    done = run(caps=Caps(caps.max_requests, caps.max_tokens, 36_000.0), say=told.append, within=0.001)
    took_s = done.measured.record.sent.seconds
    left = [line.rpartition(", ")[2].removeprefix("about ").removesuffix(" left") for line in told if "about" in line]
    assert len(left) > 20
    assert all(_seconds(each) < 2 * took_s for each in left)
    assert _seconds(left[-1]) < 0.2 * took_s


def _seconds(text):
    number, unit = text.split()
    return float(number) * {"s": 1, "min": 60}[unit]
