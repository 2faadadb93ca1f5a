"""Which load comes next: the search on curves whose saturation is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.point import Point
from cuvee.profile.measure.steps import next_load, saturation
from tests.profile.measure.points import point

OPTIONS = MeasureOptions()


def next_of(points, *, search=True):
    return next_load(points, OPTIONS, first=8, search=search)


def saturated(points):
    found = saturation(points, OPTIONS)
    assert found
    return found


def searched(rate_at):
    """Points of the search on a curve, until it goes on to paced loads."""
    points = list[Point]()
    while (load := next_of(points)).concurrency is not None:
        points.append(point(load.concurrency, rate_at(load.concurrency)))
    return points


def under_way(points):
    return [each.concurrency for each in points]


def test_a_straight_line_to_a_ceiling():
    """Doubled, four times where the rate has kept up twice, and where it bends in between what was leapt over."""
    points = searched(lambda number: min(number, 100) / 10)
    assert under_way(points) == [8, 16, 32, 128, 64, 256]
    found = saturated(points)
    assert (found.point.rate_req_per_s, found.is_reached) == (10.0, True)


def test_a_curve_that_bends():
    """Doubled from where the rate no longer keeps up."""
    points = searched(lambda number: 10 * number / (number + 50))
    assert under_way(points) == [8, 16, 32, 64, 128, 256, 512, 1024]
    # 10 * 1024 / 1074: half of 512 brings 4 % more, which counts; the cap on what is under way ends it.
    assert not saturated(points).is_reached


def test_a_rate_that_falls_is_looked_at_below():
    """Where four times as many collapse, twice as many are tried: the peak may lie in between."""
    points = searched(lambda number: number / 10 if number <= 40 else 1.0)
    assert under_way(points) == [8, 16, 32, 128, 64]
    found = saturated(points)
    assert (found.point.concurrency, found.is_reached) == (32, True)


def test_of_equal_rates_the_last():
    """Not the luckiest: 10.1 at fewer under way is within both intervals."""
    points = [point(64, 10.1, half_width=0.2), point(128, 10.0, half_width=0.2)]
    assert saturated(points).point.concurrency == 128


def test_wide_intervals_show_nothing():
    """A rate that may still have grown by a fifth is not said to be saturated."""
    points = [point(64, 10.0, half_width=2.0), point(128, 10.5, half_width=2.0)]
    assert not saturated(points).is_reached
    assert not saturated([point(64, 10.0)]).is_reached
    assert saturation([point(load=0.5)], OPTIONS) is None


def test_then_the_loads():
    """Paced loads in their order, at shares of the saturated rate; those measured are not measured again."""
    points = searched(lambda number: 4.0)
    assert under_way(points) == [8, 16]
    rates = []
    while load := next_of(points):
        rates.append(load.request_rate_req_per_s)
        points.append(point(load=load.share, rate=load.request_rate_req_per_s))
    assert rates == [1.0, 2.0, 2.8, pytest.approx(3.4)]


def test_without_time_to_search():
    """The loads stand at shares of what is known; where nothing is, there is nothing to do."""
    load = next_of([point(8, 4.0)], search=False)
    assert load.request_rate_req_per_s == 1.0
    assert next_of([], search=False) is None


@given(
    rates=st.lists(st.floats(0.01, 100), min_size=12, max_size=12),
    first=st.integers(1, 5000),
    most=st.integers(1, 5000),
)
def test_any_curve_ends(rates, first, most):
    """Whatever is measured, no load comes twice, none is above the cap, and the search ends."""
    options = MeasureOptions(max_concurrency=most)
    points = list[Point]()
    while load := next_load(points, options, first=first, search=True):
        key = (load.concurrency, load.share)
        assert key not in [(each.concurrency, each.load) for each in points]
        assert (load.concurrency or 1) <= most
        points.append(point(load.concurrency, rates[len(points) % 12], load=load.share))
    assert len(points) <= 20
