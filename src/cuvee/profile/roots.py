"""Roots of many falling functions at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Which = NDArray[np.int64]

RELATIVE_WIDTH = 1e-7
"""Width of the interval around a root at which it is found, over its upper end [-]."""

MOST_STEPS = 60
"""Halving alone, from 1 down to `RELATIVE_WIDTH` of a root of 1e-11, takes as many."""


def last_that_holds(slack: Callable[[Array, Which], Array], at_zero: Array, at_one: Array) -> Array:
    """For each function the last argument where it is not below 0; 1 where it never is, nan where it is from the start.

    Parameters
        slack              Values at one argument in [0, 1] each, falling with it, of the functions at some positions.
        at_zero, at_one    Values at the ends, shape (num_functions,).
    Notes                  Chandrupatla's method: inverse quadratic interpolation where it is safe, halving elsewhere.
                           No answer depends on the other functions: one that is found is not looked at again.
    """
    answer = np.where(at_one >= 0, 1.0, np.where(at_zero >= 0, 0.0, np.nan))
    which = np.flatnonzero((at_zero >= 0) & ~(at_one >= 0))
    # Newest point, the one across the root from it, and the one before; with their values.
    points = np.array([np.ones_like(at_one), np.zeros_like(at_one), np.zeros_like(at_one)])[:, which]
    values = np.array([at_one, at_zero, at_zero])[:, which]
    share = np.full(len(which), 0.5)
    for _ in range(MOST_STEPS):
        if not len(which):
            break
        trial = points[0] + share * (points[1] - points[0])
        at_trial = slack(trial, which)
        crossed = (at_trial >= 0) != (values[0] >= 0)
        points = np.array([trial, np.where(crossed, points[0], points[1]), np.where(crossed, points[1], points[0])])
        values = np.array([at_trial, np.where(crossed, values[0], values[1]), np.where(crossed, values[1], values[0])])
        answer[which] = np.where(at_trial >= 0, points[0], points[1])
        least = RELATIVE_WIDTH * np.maximum(points[0], points[1]) / np.abs(points[1] - points[0])
        looking = least < 1
        share = np.clip(_next_share(points, values), np.minimum(least, 0.5), np.maximum(1 - least, 0.5))[looking]
        which, points, values = which[looking], points[:, looking], values[:, looking]
    return answer


def _next_share(points: Array, values: Array) -> Array:
    """Share of the way from the newest point to the one across at which to look next [-]."""
    newest, across, before = values
    with np.errstate(divide="ignore", invalid="ignore"):
        where = (points[0] - points[1]) / (points[2] - points[1])
        value = (newest - across) / (before - across)
        safe = (value**2 < where) & ((1 - value) ** 2 < 1 - where)
        share = newest / (across - newest) * before / (across - before)
        onward = (points[2] - points[0]) / (points[1] - points[0])
        share += onward * newest / (before - newest) * across / (before - across)
    found: Array = np.where(safe & np.isfinite(share), share, 0.5)
    return found
