"""Maximum a posteriori estimates of constants from measured rates: Gauss-Newton on logarithms, numpy alone.

Constants of a configuration are a sum of parts, each shared more widely than the next: those of its engine, of its GPU
type under that engine, and its own. Every part has a normal prior, and errors of measured rates are of Student's t, so
that one row copied wrongly does not bend all others.

    log theta_c = sum_l part_l(group_l(c))      log measured = log rate(theta_c) + noise
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NOISE = 0.05
"""Scale of the error of a measured rate [-]: runs repeat within 1 to 3 %, and lengths, warm-up and the edges of a run
are not told."""

DEGREES_OF_FREEDOM = 4.0
"""Of Student's t: an error of five times the scale weighs a sixth of one within it [-]."""

ROUNDS = 8
"""Most linearisations of a fit; it ends sooner where nothing moves by more than `SETTLED` [-]."""

SETTLED = 0.01
LONGEST_STEP = 0.7
"""Furthest that one linearisation moves the logarithm of a constant [-]: a factor of 2."""

DIFFERENCE = 0.03
"""Step of the differences that stand for derivatives [-], long enough to pass kinks of the model."""


@dataclass(frozen=True)
class Observed:
    """Measured points of one configuration.

    Attributes
        groups       The group it belongs to on each level, widest first.
        log_rates    From logarithms of the constants to those of the rates of all its points.
        measured     Logarithms of the measured rates, shape (num_points,).
        touched      Which constants the rates can hang on, shape (num_constants,).
        kinds        What each point is a measurement of [-]: points of one kind are left out together.
    """

    groups: tuple[Hashable, ...]
    log_rates: Callable[[Array], Array]
    measured: Array
    touched: NDArray[np.bool_]
    kinds: NDArray[np.int64]


@dataclass(frozen=True)
class Fitted:
    """What the points of one configuration say, in the order they came.

    Attributes
        log_constants    Shape (num_constants,).
        residuals        log measured - log fitted, shape (num_points,).
        left_out         log measured - log predicted without the points of its kind, shape (num_points,).
    """

    log_constants: Array
    residuals: Array
    left_out: Array


@dataclass(frozen=True)
class _Linear:
    """log rates ~ slopes @ log_constants + offset, near a place."""

    slopes: Array
    target: Array
    weights: Array


def fit(observed: Sequence[Observed], spreads: Array, progress: Callable[[str], None] = lambda _: None) -> list[Fitted]:
    """Constants of every configuration, from all points at once.

    Parameters
        spreads    Standard deviation of each constant's part on each level, shape (num_levels, num_constants) [-].
        progress   Told how far it is.
    """
    if not observed:
        return []
    layout = _Layout.of(observed, spreads)
    places = [np.zeros(spreads.shape[1])] * len(observed)
    parts = np.zeros(layout.size)
    linear: list[_Linear] = []
    for number in range(ROUNDS):
        progress(f"fitting constants, round {number + 1} of at most {ROUNDS}")
        linear = [_linear(each, place, robust=number > 0) for each, place in zip(observed, places, strict=True)]
        step = layout.estimate(linear) - parts
        parts = parts + np.clip(step, -LONGEST_STEP, LONGEST_STEP)
        places = [layout.of_configuration(parts, index) for index in range(len(observed))]
        if np.abs(step).max(initial=0.0) < SETTLED:
            break
    fitted = []
    for index, (each, place) in enumerate(zip(observed, places, strict=True)):
        progress(f"leaving out points of configuration {index + 1:,} of {len(observed):,}")
        mean, covariance = layout.given_others(linear, index)
        left_out = np.zeros(len(each.measured))
        for kind in np.unique(each.kinds):
            given = each.kinds != kind
            left_out[~given] = _residuals_given(each, linear[index], given, mean, covariance)[~given]
        fitted.append(Fitted(np.where(each.touched, place, 0.0), each.measured - each.log_rates(place), left_out))
    return fitted


@dataclass(frozen=True)
class _Layout:
    """Where the parts of all constants stand in one vector.

    Attributes
        blocks     First entry of each configuration's part on each level, shape (num_configurations, num_levels).
        spreads    Standard deviation of each entry.
    """

    blocks: NDArray[np.int64]
    spreads: Array
    num_constants: int

    @property
    def size(self) -> int:
        return len(self.spreads)

    @staticmethod
    def of(observed: Sequence[Observed], spreads: Array) -> "_Layout":
        first: dict[tuple[int, Hashable], int] = {}
        all_spreads: list[Array] = []
        blocks = np.zeros((len(observed), len(spreads)), dtype=np.int64)
        for index, each in enumerate(observed):
            for level, group in enumerate(each.groups):
                key = (level, group)
                if key not in first:
                    first[key] = len(first) * spreads.shape[1]
                    all_spreads.append(spreads[level])
                blocks[index, level] = first[key]
        return _Layout(blocks, np.concatenate(all_spreads), spreads.shape[1])

    def of_configuration(self, parts: Array, index: int) -> Array:
        """Sum of the parts of a configuration, along the first axis of `parts`."""
        total: Array = sum(parts[start : start + self.num_constants] for start in self.blocks[index])  # type: ignore[assignment]
        return total

    def rows(self, linear: Sequence[_Linear], *, without: int | None = None) -> tuple[Array, Array]:
        """Weighted equations in units of the priors: rows @ v = target, v standard normal."""
        found, targets = [np.zeros((0, self.size))], [np.zeros(0)]
        for index, each in enumerate(linear):
            if index == without:
                continue
            row = np.zeros((len(each.target), self.size))
            for start in self.blocks[index]:
                row[:, start : start + self.num_constants] += each.slopes
            found.append(row * each.weights[:, None] * self.spreads)
            targets.append(each.target * each.weights)
        return np.concatenate(found), np.concatenate(targets)

    def estimate(self, linear: Sequence[_Linear]) -> Array:
        """Most likely parts, given the linearised points."""
        rows, target = self.rows(linear)
        most_likely: Array = self.spreads * (rows.T @ np.linalg.solve(rows @ rows.T + np.eye(len(rows)), target))
        return most_likely

    def given_others(self, linear: Sequence[_Linear], index: int) -> tuple[Array, Array]:
        """Mean and covariance of a configuration's constants, given the points of all others."""
        rows, target = self.rows(linear, without=index)
        own = np.zeros((self.size, self.num_constants))
        for start in self.blocks[index]:
            own[start : start + self.num_constants] += np.diag(self.spreads[start : start + self.num_constants])
        gain = np.linalg.solve(rows @ rows.T + np.eye(len(rows)), rows @ own)
        return gain.T @ target, own.T @ own - (rows @ own).T @ gain


def _linear(observed: Observed, place: Array, *, robust: bool) -> _Linear:
    """`observed` near `place`."""
    rates = observed.log_rates(place)
    slopes = np.zeros((len(rates), len(place)))
    for number in np.flatnonzero(observed.touched):
        moved = place.copy()
        moved[number] += DIFFERENCE
        slopes[:, number] = (observed.log_rates(moved) - rates) / DIFFERENCE
    residuals = observed.measured - rates
    trust = (
        (DEGREES_OF_FREEDOM + 1) / (DEGREES_OF_FREEDOM + (residuals / NOISE) ** 2) if robust else np.ones_like(rates)
    )
    return _Linear(slopes, residuals + slopes @ place, np.sqrt(trust) / NOISE)


def _residuals_given(
    observed: Observed, linear: _Linear, given: NDArray[np.bool_], mean: Array, covariance: Array
) -> Array:
    """log measured - log predicted, the constants of prior `mean` and `covariance` fitted to the points `given`.

    Notes           One step of Gauss-Newton from the fit to all points: the slopes are those of that fit.
    """
    rows = linear.slopes[given] * linear.weights[given, None]
    target = linear.target[given] * linear.weights[given] - rows @ mean
    gain = np.linalg.solve(rows @ covariance @ rows.T + np.eye(len(rows)), target)
    return observed.measured - observed.log_rates(mean + covariance @ rows.T @ gain)
