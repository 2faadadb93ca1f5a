"""A demand series as one typical day, and the day as a few periods of constant demand."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.units import HOURS_PER_DAY, SECONDS_PER_DAY, SECONDS_PER_HOUR
from cuvee.workload.series import STEP_TOLERANCE, DemandSeries

STEPS_S: Final = (600.0, 900.0, 1200.0, 1800.0, 3600.0, 7200.0, 10800.0, 14400.0, 21600.0)
"""Steps a day is folded to [s]: the first that is no shorter than the series'."""

LEAST_SHARE: Final = 1e-3
"""Of the peak that every period is planned for at least [-]: a service that nobody uses at night stays up."""

DEFAULT_STATISTIC: Final = "p90"

DEFAULT_PERIODS: Final = 4
"""Fleets a day [-]; more follow the demand more closely, and need more changes."""

MOST_PERIODS: Final = 24
"""Fleets a day, at most [-]."""

_PERCENTILE: Final = re.compile(r"p(\d{1,2})")


@dataclass(frozen=True, eq=False)
class TypicalDay:
    """A series folded to the day.

    Attributes
        name                  The series'.
        statistic             How a step's rate follows from its rates on all days: mean, max, or p90 and the like.
        step_s                Length of a step [s].
        rate_req_per_s        Rate of each step [req/s], shape (num_steps,), from midnight on.
        observed_req_per_s    Mean rate of each step on each day [req/s], shape (num_days, num_steps); NaN where the
                              series has none.
        notes                 What was assumed or changed, one a line.
    """

    name: str
    statistic: str
    step_s: float
    rate_req_per_s: NDArray[np.float64]
    observed_req_per_s: NDArray[np.float64]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Period:
    """A part of every day that is planned for one rate.

    Attributes
        start_s           Begin, after midnight [s].
        hours             Length [h]; past midnight it goes on into the next day.
        rate_req_per_s    Highest rate of its steps [req/s].
        num_observed      Steps of this part of the day in the series, over all days [-].
        num_above         Those of them with more demand than `rate_req_per_s` [-].
    """

    start_s: float
    hours: float
    rate_req_per_s: float
    num_observed: int
    num_above: int

    def __post_init__(self) -> None:
        rate = self.rate_req_per_s
        if not (0 <= self.start_s < SECONDS_PER_DAY and 0 < self.hours <= HOURS_PER_DAY and 0 < rate < np.inf):
            raise InputError(
                f"a period from {self.start_s} s for {self.hours} h at {rate} req/s",
                expected="a part of a day, and a rate above 0",
            )

    @property
    def end_s(self) -> float:
        """End, after midnight [s]; 86400 for midnight itself."""
        end_s = self.start_s + self.hours * SECONDS_PER_HOUR
        return end_s - SECONDS_PER_DAY if end_s > SECONDS_PER_DAY else end_s

    @property
    def label(self) -> str:
        """As "08:00-22:00"."""
        return f"{clock(self.start_s)}-{clock(self.end_s)}"


def clock(seconds: float) -> str:
    """A time of day [s] as "08:00"; midnight at the end of a day is "24:00", seconds before it wrap around."""
    minutes = round((seconds if seconds == SECONDS_PER_DAY else seconds % SECONDS_PER_DAY) / 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def fold_day(
    series: DemandSeries, *, statistic: str = DEFAULT_STATISTIC, peak_req_per_s: float | None = None
) -> TypicalDay:
    """The typical day of a series.

    Parameters
        statistic         Over the days, step by step: mean, max, or a percentile p1 to p99.
        peak_req_per_s    The rate that the highest step is scaled to [req/s]; as it is where None.
    Raises                InputError: another statistic, a scale that is none, steps of the day that no row falls in.
    """
    step_s = next((size for size in STEPS_S if size >= series.step_s * (1 - STEP_TOLERANCE)), None)
    if step_s is None:
        raise InputError(
            f"{series.source or series.name}: steps of {series.step_s / SECONDS_PER_HOUR:g} h",
            expected=f"steps of at most {STEPS_S[-1] / SECONDS_PER_HOUR:g} h",
            remedy="give the demand at shorter steps",
        )
    observed = _by_day(series, step_s)
    empty = np.flatnonzero(np.isnan(observed).all(axis=0))
    if len(empty):
        raise InputError(
            f"{series.source or series.name}: no demand from {clock(empty[0] * step_s)} to "
            f"{clock(empty[0] * step_s + step_s)}, on any day",
            expected="a demand for every part of the day",
            remedy="give at least one whole day",
        )
    typical = _statistic(observed, statistic)
    if not typical.max() > 0:
        raise InputError(
            f"{series.source or series.name}: the {statistic} over days is 0 at every step",
            expected="a demand above 0",
            remedy="choose a higher statistic, such as max",
        )
    scale = 1.0 if peak_req_per_s is None else _scale(peak_req_per_s, float(typical.max()))
    notes = series.notes
    if peak_req_per_s is not None:
        notes = (*notes, f"demand times {scale:.4g}, for a peak of {peak_req_per_s:g} req/s")
    return TypicalDay(series.name, statistic, step_s, typical * scale, observed * scale, notes)


def _by_day(series: DemandSeries, step_s: float) -> NDArray[np.float64]:
    """Mean rate of each step on each day, NaN where there is none."""
    num_steps = round(SECONDS_PER_DAY / step_s)
    # A row that comes a little early belongs to the step that is about to begin.
    step = np.floor((series.clock_s + STEP_TOLERANCE * series.step_s) / step_s).astype(np.int64)
    days, day = np.unique(step // num_steps, return_inverse=True)
    cell = day * num_steps + step % num_steps
    count = np.bincount(cell, minlength=len(days) * num_steps)
    total = np.bincount(cell, weights=series.rate_req_per_s, minlength=len(days) * num_steps)
    by_day: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return by_day.reshape(len(days), num_steps)


def _statistic(observed: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    percentile = _PERCENTILE.fullmatch(name)
    if name == "mean":
        return np.asarray(np.nanmean(observed, axis=0))
    if name == "max":
        return np.asarray(np.nanmax(observed, axis=0))
    if percentile is None or not int(percentile[1]):
        raise InputError(
            f"statistic {name!r:.40}", expected="mean, max, or a percentile p1 to p99", remedy="choose one, e.g. p90"
        )
    return np.asarray(np.nanpercentile(observed, int(percentile[1]), axis=0))


def _scale(peak_req_per_s: float, highest_req_per_s: float) -> float:
    if not (np.isfinite(peak_req_per_s) and peak_req_per_s > 0):
        raise InputError(
            f"peak_req_per_s = {peak_req_per_s!r}", expected="a rate above 0 req/s", remedy="e.g. --peak 20"
        )
    return peak_req_per_s / highest_req_per_s


def find_periods(day: TypicalDay, num_periods: int = DEFAULT_PERIODS) -> tuple[Period, ...]:
    """The day as at most `num_periods` periods that leave least capacity unused, by their start.

    Raises          InputError: fewer than 1 period, or more than the day has steps.
    Notes           Each period is planned for the highest rate of its steps, so that demand is met at every step of
                    the typical day. Neighbours with the same rate are one period.
    """
    rates = day.rate_req_per_s
    most = min(len(rates), MOST_PERIODS)
    if not 1 <= num_periods <= most:
        raise InputError(
            f"{num_periods} periods",
            expected=f"1 to {most}, in a day of {len(rates)} steps of {day.step_s / 60:g} minutes",
            remedy="e.g. --periods 4",
        )
    floor = LEAST_SHARE * float(rates.max())
    parts = _merged([(start, length) for start, length in cut_cyclic(rates, num_periods)], rates)
    periods = []
    for start, length in parts:
        steps = np.arange(start, start + length) % len(rates)
        rate = max(float(rates[steps].max()), floor)
        observed = day.observed_req_per_s[:, steps]
        observed = observed[~np.isnan(observed)]
        above = int((observed > rate * (1 + 1e-9)).sum())
        hours = length * day.step_s / SECONDS_PER_HOUR
        periods.append(Period(start * day.step_s, hours, rate, len(observed), above))
    return tuple(periods)


def _merged(parts: list[tuple[int, int]], rates: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Parts of the day, by their start, where neighbours with the same peak have become one."""

    def peak(part: tuple[int, int]) -> float:
        return float(rates[np.arange(part[0], part[0] + part[1]) % len(rates)].max())

    merged = [parts[0]]
    for part in parts[1:]:
        if peak(part) == peak(merged[-1]):
            merged[-1] = (merged[-1][0], merged[-1][1] + part[1])
        else:
            merged.append(part)
    if len(merged) > 1 and peak(merged[0]) == peak(merged[-1]):
        first = merged.pop(0)
        merged[-1] = (merged[-1][0], merged[-1][1] + first[1])
    return merged if len(merged) > 1 else [(0, len(rates))]


def cut_cyclic(rates: NDArray[np.float64], num_parts: int) -> list[tuple[int, int]]:
    """Start and length of `num_parts` runs of steps that cover the circle `rates` and waste least.

    Parameters
        rates        Shape (num_steps,); after the last step comes the first.
    Returns          runs by their start; the last may go on past the end.
    Notes            Waste: sum over runs of length x highest rate, less the sum of the rates. For each place of the
                     first cut, exact dynamic programming over the others: best[k, j] = min_i best[k - 1, i] +
                     (j - i) max(rates[i:j]).
    """
    num_steps = len(rates)
    best_total, best = np.inf, [(0, num_steps)]
    for first in range(num_steps if num_parts > 1 else 1):
        total, cuts = _cut_line(np.roll(rates, -first), num_parts)
        if total < best_total * (1 - 1e-12):
            best_total = total
            bounds = [*cuts, num_steps]
            best = [((first + low) % num_steps, high - low) for low, high in pairwise(bounds)]
    return sorted(best)


def _cut_line(rates: NDArray[np.float64], num_parts: int) -> tuple[float, list[int]]:
    """Least sum of length x peak over `num_parts` runs of a line, and where the runs begin."""
    size = len(rates)
    begin, end = np.arange(size)[:, None], np.arange(1, size + 1)[None, :]
    # held[i, j]: steps i to j, both included, held at their peak; endless where there is no such run.
    peak = np.maximum.accumulate(np.where(begin < end, rates[None, :], 0.0), axis=1)
    held = np.where(begin < end, peak * (end - begin), np.inf)
    best = held[0]
    origin = []
    for _ in range(1, num_parts):
        through = np.concatenate([[np.inf], best[:-1]])[:, None] + held
        origin.append(through.argmin(axis=0))
        best = through.min(axis=0)
    cuts, last = [], size - 1
    for choice in reversed(origin):
        cuts.append(int(choice[last]))
        last = cuts[-1] - 1
    return float(best[size - 1]), [0, *reversed(cuts)]
