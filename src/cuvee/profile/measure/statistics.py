"""What a stretch of measurements tells of a mean: batch means, the length of the warm-up, percentiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BATCHES = 20
"""Batches that a series is cut into [-]: few enough for each to be long, enough for the quantile to be near 2."""

FEWEST_BATCHES = 8
"""Values below which no interval is claimed [-]."""

MOST_ALIKE = 0.9
"""Correlation of neighbouring batches beyond which the widening stays what it is there [-]."""

T_QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093,
)  # fmt: skip
"""97.5 % quantile of Student's t for 1 to 19 degrees of freedom."""

MSER_BATCH = 5
"""Values averaged before the end of warm-up is looked for, as in MSER-5 [-]."""

CLOSE = 0.1
"""How near to the least squared error a cut counts as well [-]."""

PERCENTILES = (50, 90, 95, 99)

TIGHT_LOOKS = 3
"""Looks in a row at which an interval has to be tight [-]."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval, both in the unit of the values.

    Attributes
        half_width    inf where there are too few values to claim one.
    """

    mean: float
    half_width: float

    @property
    def relative(self) -> float:
        """Half-width over the mean [-]; inf where the mean is not above 0."""
        return self.half_width / self.mean if self.mean > 0 else math.inf


class Looks:
    """When an interval that is looked at again and again is tight: after `TIGHT_LOOKS` looks in a row.

    Parameters
        within    Half-width over the mean at which it is tight [-].

    Notes         The first look that is tight is more often than not one at which the values happen to lie close: of
                  intervals taken there, 90 to 92 in 100 hold the truth of a service whose steps vary. The widest of
                  three looks holds it in 94 to 96 (`tests/profile/measure/test_statistics.py`).
    """

    def __init__(self, within: float) -> None:
        self._within = within
        self._tight: list[float] = []

    def add(self, found: Interval) -> Interval | None:
        """One more look; the interval to state where it has been tight for long enough, else None."""
        is_tight = found.relative <= self._within
        self._tight = [*self._tight, found.relative][-TIGHT_LOOKS:] if is_tight else []
        return Interval(found.mean, found.mean * max(self._tight)) if len(self._tight) == TIGHT_LOOKS else None


def interval_of(values: Sequence[float] | Array) -> Interval:
    """Mean of a series in the order it came, with its 95 % interval by batch means.

    Notes       The series is cut into `BATCHES` batches of equal length, what is left over at its beginning stands in
                none. Neighbouring batches that are alike carry less than their number: the variance of the mean is
                multiplied by (1 + r) / (1 - r) for their correlation r where that is above 0.
    Source      Law, Simulation Modeling and Analysis, 5th ed. (2015), 9.5.3.
    """
    series = np.asarray(values, dtype=np.float64)
    if not len(series):
        return Interval(0.0, math.inf)
    count = min(len(series), BATCHES)
    size = len(series) // count
    batches = series[len(series) - count * size :].reshape(count, size).mean(axis=1)
    mean = float(series.mean())
    if count < FEWEST_BATCHES:
        return Interval(mean, math.inf)
    alike = min(max(_neighbours(batches), 0.0), MOST_ALIKE)
    error = batches.std(ddof=1) / math.sqrt(count) * math.sqrt((1 + alike) / (1 - alike))
    return Interval(mean, float(T_QUANTILES[count - 2] * error))


def _neighbours(batches: Array) -> float:
    """Correlation of each batch with the next [-]; 0 where all are equal."""
    apart = batches - batches.mean()
    spread = float(apart @ apart)
    return float(apart[1:] @ apart[:-1]) / spread if spread > 0 else 0.0


def settled_from(values: Sequence[float] | Array) -> int:
    """Values at the beginning of a series that belong to its warm-up [-], at most half of them.

    Notes       MSER-5: the cut after which the squared standard error of the mean of the rest is least; of cuts that
                come within `CLOSE` of it the first, since every value that is left out has to be measured again.
    Source      White, Cobb, Spratt, A comparison of five steady-state truncation heuristics for simulation (2000).
    """
    series = np.asarray(values, dtype=np.float64)
    count = len(series) // MSER_BATCH
    if count < 4:
        return 0
    means = series[: count * MSER_BATCH].reshape(count, MSER_BATCH).mean(axis=1)
    errors = [means[cut:].var() / (count - cut) for cut in range(count // 2 + 1)]
    least = (1 + CLOSE) * min(errors)
    return next(cut for cut, error in enumerate(errors) if error <= least) * MSER_BATCH


def percentiles_of(values: Sequence[float] | Array) -> dict[int, float]:
    """Percentiles of `PERCENTILES` that at least one value lies beyond: p99 needs 100 values."""
    if not len(values):
        return {}
    return {each: float(np.percentile(values, each)) for each in PERCENTILES if len(values) * (100 - each) >= 100}
