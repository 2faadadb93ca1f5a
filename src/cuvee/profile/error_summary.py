"""Errors of many predictions in a few figures: what scores and calibrations print and write."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ErrorSummary:
    """Errors of some predictions of one quantity.

    Attributes
        count                Predictions [-].
        median, mean, p90    Of |predicted / measured - 1| [-].
        bias                 Median of predicted / measured [-].
    """

    count: int
    median: float
    mean: float
    p90: float
    bias: float

    @staticmethod
    def of(pairs: Iterable[tuple[float, float]]) -> "ErrorSummary":
        """Summary of at least one pair of predicted and measured, both in one unit."""
        predicted, measured = np.array(list(pairs)).T
        ratios = predicted / measured
        errors = np.abs(ratios - 1)
        median, mean, p90 = np.median(errors), errors.mean(), np.percentile(errors, 90)
        return ErrorSummary(len(ratios), float(median), float(mean), float(p90), float(np.median(ratios)))


@dataclass(frozen=True)
class CalibrationErrors:
    """How far rates of points are off before a calibration, and after one in which they had no part.

    Attributes
        uncalibrated    With the engine's constants.
        left_out        Each predicted without the points of its kind; None where there is one kind of requests.
    """

    uncalibrated: ErrorSummary
    left_out: ErrorSummary | None
