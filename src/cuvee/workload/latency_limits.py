"""Latency limits: how long a request may wait for its first token, for each further one, and in all."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real

from cuvee.errors import InputError

LABELS = {"ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "end to end"}
"""The latencies there are, as people call them."""

MEAN = "mean"
LOWEST_PERCENTILE = 50.0
HIGHEST_PERCENTILE = 99.9
"""Beyond it a percentile rests on the tail of a queueing formula alone [%]."""


@dataclass(frozen=True)
class LatencyLimits:
    """Limits on the latency of requests; None where there is none.

    Attributes
        ttft_s       Time to first token [s].
        tpot_s       Time per output token after the first [s].
        e2e_s        Time from arrival to the last token [s].
        statistic    Of which the limits are: "mean", or a percentile over requests such as "p95".
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    statistic: str = MEAN

    def __post_init__(self) -> None:
        for label, limit in self.as_dict().items():
            if not (isinstance(limit, Real) and math.isfinite(limit) and limit > 0):
                raise InputError(f"latency limit {label} = {limit!r}", expected="a finite time above 0 s")
        parse_statistic(self.statistic)

    @property
    def percentile(self) -> float | None:
        """Percentile that the limits hold for [%]; None for the mean."""
        return parse_statistic(self.statistic)

    def as_dict(self) -> dict[str, float]:
        """The limits that there are, by name [s]."""
        return {name: getattr(self, name) for name in LABELS if getattr(self, name) is not None}


def time_text(seconds: float) -> str:
    """A time for people, with three digits: "0.312 s", "45.1 ms"."""
    if not math.isfinite(seconds):
        return "no bound"
    rounded = float(f"{seconds:.3g}")
    return f"{rounded * 1000:.3g} ms" if rounded < 0.1 else f"{rounded:g} s"


def parse_statistic(text: str) -> float | None:
    """Percentile that "p95" stands for [%]; None for "mean"."""
    if text == MEAN:
        return None
    match = re.fullmatch(r"p(\d{1,2}(\.\d{1,3})?)", text) if isinstance(text, str) else None
    percentile = float(match[1]) if match else math.nan
    if not LOWEST_PERCENTILE <= percentile <= HIGHEST_PERCENTILE:
        raise InputError(
            f"latency statistic {text!r}",
            expected=f"mean, or a percentile from p{LOWEST_PERCENTILE:g} to p{HIGHEST_PERCENTILE:g}",
            remedy="e.g. p95",
        )
    return percentile


@dataclass(frozen=True)
class LatencyObjective:
    """Latency limits of the requests to one model.

    Attributes
        limits     Those of every workload type that has none of its own.
        by_type    Those of single types, by name, in place of `limits`. Copied.
    """

    limits: LatencyLimits = LatencyLimits()
    by_type: Mapping[str, LatencyLimits] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        by_type = dict(self.by_type)
        if not all(isinstance(each, LatencyLimits) for each in (self.limits, *by_type.values())):
            raise InputError(
                f"latency limits {self.limits!r:.60} and {by_type!r:.60}",
                expected="records of LatencyLimits",
                remedy="make them with cuvee.workload.LatencyLimits",
            )
        object.__setattr__(self, "by_type", by_type)

    def of(self, type_name: str) -> LatencyLimits:
        """Limits of the workload type of that name."""
        return self.by_type.get(type_name, self.limits)

    @property
    def limits_anything(self) -> bool:
        """Whether there is a limit at all."""
        return any(each.as_dict() for each in (self.limits, *self.by_type.values()))
