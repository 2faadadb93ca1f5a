"""Batch means, warm-up and percentiles on series whose truth is known."""

import math

import numpy as np
import pytest

from cuvee.profile.measure.statistics import interval_of, percentiles_of, settled_from


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
