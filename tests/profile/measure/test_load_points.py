"""What the table of a measurement says of each point: whether it is saturated, how sure it is, what it counts."""

from dataclasses import replace

import pytest

from cuvee.errors import InputError
from cuvee.profile import load_throughput_table
from cuvee.profile.imports.points_table import points_to_csv
from cuvee.profile.measure.load_points import measured_points, what_would_saturate
from cuvee.profile.measure.point import Spread
from cuvee.profile.measure.record import MeasureRecord
from cuvee.workload.records import WorkloadType
from tests.profile.measure.measuring import run
from tests.profile.measure.points import point


@pytest.fixture(scope="module")
def record() -> MeasureRecord:
    """A record of one type "a" of 100 and 20 tokens, without points."""
    found = run().measured.record
    return replace(found, types=(WorkloadType("a", 100, 20),), points=())


def held(concurrency, rate, half_width=0.1):
    """A point whose requests take the time that Little's law says."""
    return point(concurrency, rate, half_width=half_width, end_to_end=Spread(100, concurrency / rate, 0.01, {}))


def paced(request_half_width, ttft_half_width):
    """A point at half the rate: a request takes 1 s, its first token 0.5 s."""
    return point(
        None, 10.0, load=0.5,
        end_to_end=Spread(100, 1.0, request_half_width, {}), ttft=Spread(100, 0.5, ttft_half_width, {}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("half_widths", "expected"),
    [
        ((0.19, 0.29), []),
        ((0.21, 0.29), ["95 % interval of a request +-21%, and 10% was asked for"]),
        ((0.19, 0.31), ["95 % interval of TTFT +-62%, and 30% was asked for"]),
        ((None, 0.29), ["too few answers for a confidence interval of a request"]),
    ],
)
def test_a_latency_that_nobody_is_sure_of_is_doubtful(record, half_widths, expected):
    """Twice as wide as asked for, 10 % of a request and 30 % of TTFT. Tempting: to doubt held points alone."""
    table = measured_points(replace(record, points=(paced(*half_widths),)))
    assert [doubt for doubt in table.points[0].doubts if "interval" in doubt] == expected


def test_answers_are_those_of_the_time_beside_them(record):
    """100 answers in a window of 20 s, and 10 before it. Tempting: 110, which is no rate over 20 s."""
    row = measured_points(replace(record, points=(held(8, 5.0),))).points[0].point
    assert (row.completed, row.duration_s, row.warm_up_completed) == (100, 20.0, 10)


def test_a_plan_takes_the_saturated_rate_with_its_interval(tmp_path, record):
    """8 and 16 under way serve alike: 16 is saturated, +-8 %. Tempting: 10.1 req/s, the luckiest, +-5 %."""
    points = held(8, 10.1), held(16, 10.0, 0.8)
    path = tmp_path / "points.csv"
    path.write_text(points_to_csv(measured_points(replace(record, points=points))))
    rates = load_throughput_table(path).rates
    assert [(rate.rate_req_per_s, rate.relative_error, rate.concurrency) for rate in rates] == [(10.0, 0.08, None)]


def test_a_rate_that_still_grew_is_not_taken(tmp_path, record):
    """From 8 to 16 under way the rate grew by two fifths: nobody knows where it ends."""
    path = tmp_path / "points.csv"
    path.write_text(points_to_csv(measured_points(replace(record, points=(held(8, 7.0), held(16, 10.0))))))
    with pytest.raises(InputError, match="2 rows left out: not shown to be saturated") as refused:
        load_throughput_table(path, engine="vllm-0.11")
    assert "a higher --max-concurrency" in refused.value.remedy
    assert "--engine" not in refused.value.remedy  # which is in every row


@pytest.mark.parametrize(
    ("points", "most", "expected"),
    [
        ((held(8, 7.0), held(16, 10.0)), 16, "go on with a --max-concurrency above 16"),
        ((held(8, 7.0),), 8, "go on with a --max-concurrency above 8"),
        ((held(8, 7.0), held(16, 10.0)), 1024, "go on with higher caps"),
        ((held(8, 7.0), held(16, 10.0, 3.0)), 16, "begin anew (--force) with a higher --max-seconds"),
    ],
)
def test_what_to_raise_where_saturation_was_not_shown(record, points, most, expected):
    """The cap that ended the search: requests under way, or time. Tempting: to name the engine."""
    options = replace(record.options, max_concurrency=most)
    found = replace(record, points=points, options=options)
    assert what_would_saturate(found, found.types[0]).startswith(expected)
