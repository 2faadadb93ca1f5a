"""Confidence intervals of counts and means, and what they say of a range that a figure is to lie in."""

import math
from enum import StrEnum
from statistics import NormalDist


class State(StrEnum):
    """What is known of one figure."""

    FOLLOWS = "follows"
    """All that it may be, by the counts, is within what is tolerated."""
    DRIFTS = "drifts"
    """Nothing that it may be is."""
    OPEN = "open"
    """The counts are too few to say."""
    TOLD = "told"
    """Not judged: there is nothing that it ought to be."""


def z_of(confidence: float, num_figures: int) -> float:
    """Standard errors to either side, for all of `num_figures` to be inside of theirs with `confidence` [-]."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / 2 / max(num_figures, 1))


def share_interval(count: float, number: float, z: float) -> tuple[float, float]:
    """Wilson's interval of the share `count` / `number` [-]; everything where there is nothing."""
    if number <= 0:
        return 0.0, 1.0
    share, weight = count / number, z * z / number
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(max(share * (1 - share), 0.0) / number + weight / (4 * number))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def rate_interval(count: float, time_s: float, z: float) -> tuple[float, float]:
    """Interval of the rate of a Poisson process that came `count` times [1/s]."""
    middle, half = count + z * z / 2, z * math.sqrt(count + z * z / 4)
    return max(middle - half, 0.0) / time_s, (middle + half) / time_s


def mean_interval(mean: float, deviation: float, number: float, z: float) -> tuple[float, float]:
    """Interval of a mean, in its unit; everything where there is nothing, or one figure alone."""
    if number < 2:
        return 0.0, math.inf
    half = z * deviation / math.sqrt(number)
    return max(mean - half, 0.0), mean + half


def state_of(low: float, high: float, least: float, most: float) -> State:
    """What an interval from `low` to `high` says of a figure that is to lie from `least` to `most`."""
    if high < least or low > most:
        return State.DRIFTS
    return State.FOLLOWS if least <= low and high <= most else State.OPEN
