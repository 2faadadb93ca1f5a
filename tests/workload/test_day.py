"""The typical day, and its cut into periods against every other cut."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.workload.day import LEAST_SHARE, clock, cut_cyclic, find_periods, fold_day
from cuvee.workload.series import DemandSeries

HOUR = 3600.0


def hourly(*rates: float, start_hour: int = 0) -> DemandSeries:
    """A series of hours."""
    return series((np.arange(len(rates)) + start_hour) * HOUR, rates, HOUR)


def series(clock_s, rates, step_s) -> DemandSeries:
    return DemandSeries("mine", np.array(clock_s, dtype=np.float64), np.array(rates, dtype=np.float64), step_s)


def waste(rates, parts) -> float:
    """Unused steps x rate of a cut."""
    size = len(rates)
    held = [length * max(rates[(start + step) % size] for step in range(length)) for start, length in parts]
    return float(sum(held) - sum(rates))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.integers(1, 4))
def test_the_cut_wastes_least_of_all(rates, num_parts):
    """Dynamic programming against every choice of cuts around the circle."""
    if num_parts > len(rates):
        return
    parts = cut_cyclic(np.array(rates, dtype=float), num_parts)
    size = len(rates)
    every = [
        [(low, (high - low - 1) % size + 1) for low, high in zip(cuts, (*cuts[1:], cuts[0]), strict=True)]
        for cuts in combinations(range(size), num_parts)
    ]
    assert waste(rates, parts) == min(waste(rates, cut) for cut in every)
    assert sorted((start + i) % size for start, length in parts for i in range(length)) == list(range(size))
    assert len(parts) == num_parts


def test_a_cut_worked_by_hand():
    """Six hours at 1, twelve at 4, six at 2 from midnight: three periods waste nothing.

    Two periods: {1}, {4, 2} wastes 6 x 2 = 12; tempting is the middle of the slope, {1, 2} and {4} around midnight,
    which wastes 6 x 1 = 6 only, because the night goes on past midnight.
    """
    day = fold_day(hourly(*[1.0] * 6, *[4.0] * 12, *[2.0] * 6))
    three = find_periods(day, 3)
    assert [(each.label, each.rate_req_per_s) for each in three] == [
        ("00:00-06:00", 1.0), ("06:00-18:00", 4.0), ("18:00-24:00", 2.0),
    ]  # fmt: skip
    two = find_periods(day, 2)
    assert [(each.label, each.rate_req_per_s, each.hours) for each in two] == [
        ("06:00-18:00", 4.0, 12.0), ("18:00-06:00", 2.0, 12.0),
    ]  # fmt: skip
    assert [(each.label, each.rate_req_per_s) for each in find_periods(day, 1)] == [("00:00-24:00", 4.0)]


def test_periods_that_would_not_differ_are_one():
    """A flat day is one period, and two plateaus are two, however many were asked for."""
    assert [each.label for each in find_periods(fold_day(hourly(*[3.0] * 24)), 4)] == ["00:00-24:00"]
    two = find_periods(fold_day(hourly(*[1.0] * 4, *[3.0] * 16, *[1.0] * 4)), 5)
    assert [each.label for each in two] == ["04:00-20:00", "20:00-04:00"]


@given(st.lists(st.floats(0.0, 9.0), min_size=24, max_size=24), st.integers(1, 6))
def test_periods_cover_the_day_and_its_demand(rates, num_periods):
    """They tile 24 hours in order, and no step of the typical day exceeds its period."""
    if max(rates) <= 0:
        return
    periods = find_periods(fold_day(hourly(*rates)), num_periods)
    assert sum(each.hours for each in periods) == pytest.approx(24.0)
    assert len(periods) <= num_periods
    for each, following in zip(periods, (*periods[1:], periods[0]), strict=True):
        assert each.end_s % 86400 == pytest.approx(following.start_s)
        hours = range(round(each.start_s / HOUR), round(each.start_s / HOUR + each.hours))
        assert max(rates[hour % 24] for hour in hours) <= each.rate_req_per_s
        assert each.rate_req_per_s >= LEAST_SHARE * max(rates)


def test_statistics_over_three_days():
    """Hour 0 on three days is 1, 2 and 6: mean 3, median 2, p90 2 + 0.8 x 4 = 5.2, max 6.

    Tempting: the mean, which the third day exceeds twice over.
    """
    days = hourly(*[rate for first in (1.0, 2.0, 6.0) for rate in (first, *[1.0] * 23)])
    typical = {name: fold_day(days, statistic=name).rate_req_per_s[0] for name in ("mean", "p50", "p90", "max")}
    assert typical == pytest.approx({"mean": 3.0, "p50": 2.0, "p90": 5.2, "max": 6.0})


def test_steps_above_the_plan_are_counted():
    """At the median of three days, one of the three first hours is above the period's rate of 2."""
    days = hourly(*[rate for first in (1.0, 2.0, 6.0) for rate in (first, *[1.0] * 23)])
    first, rest = find_periods(fold_day(days, statistic="p50"), 2)
    assert (first.label, first.rate_req_per_s, first.num_observed, first.num_above) == ("00:00-01:00", 2.0, 3, 1)
    assert (rest.num_observed, rest.num_above) == (69, 0)


def test_short_steps_are_averaged_within_a_day_before_days_are_compared():
    """A minute at 10 in ten minutes at 1 is 1.9, not 10; the day is folded to steps of ten minutes."""
    rates = np.ones(2 * 1440)
    rates[5] = 10.0
    day = fold_day(series(np.arange(2 * 1440) * 60.0, rates, 60.0), statistic="max")
    assert day.step_s == 600.0
    assert day.rate_req_per_s[:2].tolist() == pytest.approx([1.9, 1.0])


def test_a_series_may_begin_at_any_time_and_miss_steps():
    """Steps that a day lacks count on the other days only."""
    day = fold_day(hourly(*[1.0] * 10, *[2.0] * 24, start_hour=14), statistic="mean")
    assert day.observed_req_per_s.shape == (2, 24)
    assert day.rate_req_per_s.tolist() == [2.0] * 14 + [1.5] * 10


def test_a_row_a_little_early_counts_where_it_belongs():
    """Eight o'clock less five seconds is eight o'clock."""
    times = np.arange(24) * HOUR
    times[8] -= 5.0
    day = fold_day(series(times, np.arange(24) + 1.0, HOUR))
    assert day.rate_req_per_s.tolist() == (np.arange(24) + 1.0).tolist()


def test_the_peak_scales_everything():
    """Rates and observations alike, with a note that says by how much."""
    days = hourly(*[rate for first in (1.0, 2.0, 6.0) for rate in (first, *[1.0] * 23)])
    day = fold_day(days, statistic="p50", peak_req_per_s=20.0)
    assert day.rate_req_per_s.max() == pytest.approx(20.0)
    assert day.observed_req_per_s.max() == pytest.approx(60.0)
    assert day.notes[-1] == "demand times 10, for a peak of 20 req/s"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: fold_day(hourly(*[1.0] * 24), statistic="median"), "p90"),
        (lambda: fold_day(hourly(*[1.0] * 24), statistic="p0"), "p90"),
        (lambda: fold_day(hourly(*[1.0] * 24), statistic="p100"), "p90"),
        (lambda: fold_day(hourly(*[1.0] * 24), peak_req_per_s=0.0), "--peak"),
        (lambda: fold_day(hourly(*[1.0] * 24), peak_req_per_s=float("nan")), "--peak"),
        (lambda: fold_day(hourly(*[1.0] * 23)), "23:00 to 24:00"),
        (lambda: fold_day(series([0.0, 86400.0], [1.0, 1.0], 86400.0)), "at most 6 h"),
        (lambda: fold_day(hourly(*[0.0] * 48, 1.0), statistic="p50"), "max"),
        (lambda: find_periods(fold_day(hourly(*[1.0] * 24)), 0), "--periods"),
        (lambda: find_periods(fold_day(hourly(*[1.0] * 24)), 25), "1 to 24"),
    ],
)
def test_what_is_no_day_is_refused(ask, words):
    """A message that says what was expected."""
    with pytest.raises(InputError, match=words):
        ask()


def test_days_far_apart_take_no_room():
    """A series with a hole of a million years is as small as its rows."""
    times = np.arange(24) * HOUR
    day = fold_day(series([*times, *(times + 86400.0 * 3e8)], np.ones(48), HOUR))
    assert day.observed_req_per_s.shape == (2, 24)


def test_clock():
    """Midnight at the end is 24:00, a time before midnight wraps around."""
    assert [clock(each) for each in (0, 8.5 * HOUR, 86400, -600)] == ["00:00", "08:30", "24:00", "23:50"]
