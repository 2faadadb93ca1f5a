"""Batch means, warm-up and percentiles on series whose truth is known."""

import math

import numpy as np
import pytest

from cuvee.profile.measure import statistics
from cuvee.profile.measure.statistics import BATCHES, Interval, Looks, interval_of, percentiles_of, settled_from
from cuvee.profile.measure.watch import TICK_S, TICK_SHARE


def coverage(make, truth, *, runs=400):
    """Share of intervals that hold the truth [-]."""
    random = np.random.default_rng(7)
    found = [interval_of(make(random)) for _ in range(runs)]
    return np.mean([abs(each.mean - truth) <= each.half_width for each in found])


def test_interval_by_hand():
    """Of 1, 2, ..., 8: mean 4.5, deviation 2.449, t of 7 degrees 2.365, and neighbours that are alike by 0.625."""
    # Without the widening it would be 2.048: as if eight values in a row said eight different things.
    found = interval_of([1, 2, 3, 4, 5, 6, 7, 8])
    assert found.mean == 4.5
    assert found.half_width == pytest.approx(2.365 * 2.449490 / math.sqrt(8) * math.sqrt(1.625 / 0.375), rel=1e-6)


def test_too_few_claim_nothing():
    """Below eight values there is a mean and no interval; without any not even that."""
    assert interval_of([1.0] * 7).half_width == math.inf
    assert interval_of([]).relative == math.inf
    assert interval_of([2.0] * 8).half_width == 0


def test_independent_values_are_covered():
    """Of skewed independent values, about 95 in 100 intervals hold the mean."""
    assert 0.91 <= coverage(lambda random: random.exponential(2.0, 200), 2.0) <= 0.99


def test_values_that_hang_together_are_covered():
    """Waiting times that resemble their neighbours are nearly covered, too: far more than by the usual formula."""
    rho = 0.9

    def make(random):
        noise = random.normal(0, 1, 1000)
        series = np.empty(1000)
        value = random.normal(0, 1 / math.sqrt(1 - rho**2))
        for index, each in enumerate(noise):
            value = rho * value + each
            series[index] = value
        return series + 10.0

    assert coverage(make, 10.0) >= 0.88
    usual = [make(np.random.default_rng(seed)) for seed in range(200)]
    held = np.mean([abs(each.mean() - 10) <= 1.96 * each.std() / math.sqrt(len(each)) for each in usual])
    assert held < 0.6


def test_the_cut_finds_a_warm_up():
    """Values that come down to a level are cut where they reach it; values at a level are kept."""
    random = np.random.default_rng(3)
    level = random.normal(1.0, 0.1, 400)
    falling = level + 5 * np.exp(-np.arange(400) / 10)
    assert 20 <= settled_from(falling) <= 80
    assert settled_from(level) <= 100
    assert settled_from([1.0, 9.0]) == 0


def test_percentiles_need_values_beyond():
    """A 99th percentile of 99 values would be their largest: it is left out."""
    assert set(percentiles_of(list(range(99)))) == {50, 90, 95}
    assert percentiles_of(list(range(101)))[99] == 99
    assert percentiles_of([5.0]) == {}
    assert percentiles_of([1.0, 2.0]) == {50: 1.5}


STEP_S = 0.1
LEAST_WINDOW_S = 10.0


def service(random, *, alike=0.0, spread=1.0, steps=2500):
    """Ends of steps that take `STEP_S` on the mean [s]: lognormal, each resembling the last by `alike`."""
    noise, value, logs = random.normal(0, math.sqrt(1 - alike**2), steps), random.normal(), np.empty(steps)
    for index, each in enumerate(noise):
        value = alike * value + each
        logs[index] = value
    return np.cumsum(STEP_S * np.exp(spread * logs - spread**2 / 2))


def stopped(ends_s, within):
    """The interval that a held load states of steps a second, looked at as often as it does; None where never."""
    looks, now_s = Looks(within), 0.0
    while (now_s := now_s + max(TICK_S, TICK_SHARE * now_s)) < ends_s[-1]:
        counts = np.diff(np.searchsorted(ends_s, np.linspace(0, now_s, BATCHES + 1)))
        found = interval_of(counts / (now_s / BATCHES))
        tight = looks.add(Interval(found.mean, max(found.half_width, STEP_S / now_s * found.mean)))
        if tight is not None and now_s >= LEAST_WINDOW_S:
            return tight
    return None


def stopped_coverage(law, *, runs=300):
    random = np.random.default_rng(11)
    found = [each for each in (stopped(service(random, **law), 0.1) for _ in range(runs)) if each is not None]
    assert len(found) > 0.9 * runs
    return np.mean([abs(each.mean - 1 / STEP_S) <= each.half_width for each in found])


def test_looking_until_it_is_tight_keeps_the_coverage(monkeypatch):
    """Of steps that vary, 94 in 100 intervals hold the truth. Tempting: to stop at the first look that is tight."""
    assert stopped_coverage({}) >= 0.935
    assert stopped_coverage({"alike": 0.7, "spread": 0.5}) >= 0.935
    monkeypatch.setattr(statistics, "TIGHT_LOOKS", 1)
    assert stopped_coverage({}) < 0.925


def test_a_look_that_is_wide_begins_anew():
    """Three in a row, and the widest of them is stated."""
    looks = Looks(0.05)
    assert [looks.add(Interval(100, width)) for width in (4, 3, 6, 4, 3)] == [None] * 5
    assert looks.add(Interval(200, 2)) == Interval(200, 8)
