"""Intervals: by hand, and as often right as they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.control.intervals import State, mean_interval, rate_interval, share_interval, state_of, z_of


def test_by_hand():
    """Wilson's interval of 50 of 100 with two standard errors; of nothing in 100 it does not end at nothing."""
    low, high = share_interval(50, 100, 2.0)
    assert (low, high) == pytest.approx((0.5 - 1 / math.sqrt(104), 0.5 + 1 / math.sqrt(104)))
    # the tempting wrong answer, sqrt(p (1 - p) / n), says that nothing in 100 is nothing for sure
    assert share_interval(0, 100, 2.0) == pytest.approx((0.0, 4 / 104))
    assert share_interval(0, 0, 2.0) == (0.0, 1.0)
    assert mean_interval(5.0, 2.0, 100, 2.0) == pytest.approx((4.6, 5.4))
    assert mean_interval(5.0, 0.0, 1, 2.0) == (0.0, math.inf)
    assert z_of(0.95, 1) == pytest.approx(1.96, abs=0.001)
    assert z_of(0.95, 100) == pytest.approx(3.48, abs=0.01)


def test_intervals_hold_as_often_as_they_say():
    """Of 4,000 draws each, shares and rates lie in their 95 % intervals at least 93 times of a hundred."""
    drawn = np.random.default_rng(1)
    z = z_of(0.95, 1)
    for share, number in ((0.5, 40), (0.03, 200), (0.9, 60)):
        found = [share_interval(count, number, z) for count in drawn.binomial(number, share, 4000).tolist()]
        assert sum(low <= share <= high for low, high in found) / 4000 >= 0.93
    for rate in (0.5, 5.0):
        found = [rate_interval(count, 20.0, z) for count in drawn.poisson(rate * 20.0, 4000).tolist()]
        assert sum(low <= rate <= high for low, high in found) / 4000 >= 0.93


@given(low=st.floats(0, 1), high=st.floats(0, 1), least=st.floats(0, 1), most=st.floats(0, 1))
def test_an_interval_is_inside_or_outside_or_open(low, high, least, most):
    """Inside follows, apart drifts, and what overlaps an edge is open."""
    low, high, least, most = *sorted((low, high)), *sorted((least, most))
    state = state_of(low, high, least, most)
    assert (state is State.FOLLOWS) == (least <= low and high <= most)
    assert (state is State.DRIFTS) == (high < least or low > most)
