"""What a trace looks like: lengths, rates and burstiness, as plain data."""

from dataclasses import dataclass
from numbers import Integral
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.workload.records import Trace

MAX_WINDOWS: Final = 100_000
_PERCENTS: Final = (1, 5, 25, 50, 75, 90, 95, 99)


@dataclass(frozen=True)
class LengthSummary:
    """Spread of a length over requests [tokens]; `p50` is the median."""

    mean: float
    p1: float
    p5: float
    p25: float
    p50: float
    p75: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class TraceSummary:
    """A trace in figures; what needs arrivals is None, or empty, without them.

    Attributes
        num_requests              Requests kept [-].
        num_skipped               Rows left out [-], by reason.
        duration_s                Time observed [s].
        mean_rate_req_per_s       Requests over that time [req/s].
        peak_rate_req_per_s       Largest rate of a window [req/s].
        window_s                  Length of a window [s].
        window_rates_req_per_s    Rate in each of equal windows [req/s].
        interarrival_cv           Standard deviation over mean of the time between requests [-]: 1 for a Poisson
                                  process, more for bursts.
        input_tokens              Prompt lengths.
        output_tokens             Answer lengths.
        total_tokens              Prompt plus answer of each request.
        input_tokens_per_s        Prompt tokens over time [tokens/s].
        output_tokens_per_s       Answer tokens over time [tokens/s].
    """

    name: str
    num_requests: int
    num_skipped: dict[str, int]
    duration_s: float | None
    mean_rate_req_per_s: float | None
    peak_rate_req_per_s: float | None
    window_s: float | None
    window_rates_req_per_s: tuple[float, ...]
    interarrival_cv: float | None
    input_tokens: LengthSummary
    output_tokens: LengthSummary
    total_tokens: LengthSummary
    input_tokens_per_s: float | None
    output_tokens_per_s: float | None


def summarize(trace: Trace, *, num_windows: int = 24) -> TraceSummary:
    """Figures of a trace.

    Parameters
        trace          Requests.
        num_windows    Equal windows the duration is cut into for rates [-], 1 to 100,000.
    Raises       InputError: `num_windows` out of range.
    Notes        Token rates are the mean rate times the mean length.
    """
    whole = isinstance(num_windows, Integral) and not isinstance(num_windows, bool)
    if not whole or not 1 <= num_windows <= MAX_WINDOWS:
        raise InputError(f"num_windows = {num_windows!r}", expected=f"a whole number from 1 to {MAX_WINDOWS:,}")
    rates = _window_rates(trace, int(num_windows))
    mean_rate = trace.rate_req_per_s
    inputs, outputs = _lengths(trace.input_tokens), _lengths(trace.output_tokens)
    return TraceSummary(
        name=trace.name,
        num_requests=trace.num_requests,
        num_skipped=dict(trace.num_skipped),
        duration_s=trace.duration_s,
        mean_rate_req_per_s=mean_rate,
        peak_rate_req_per_s=max(rates, default=None),
        window_s=None if trace.duration_s is None else trace.duration_s / num_windows,
        window_rates_req_per_s=rates,
        interarrival_cv=_interarrival_cv(trace.arrival_s),
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=_lengths(trace.input_tokens + trace.output_tokens),
        input_tokens_per_s=None if mean_rate is None else mean_rate * inputs.mean,
        output_tokens_per_s=None if mean_rate is None else mean_rate * outputs.mean,
    )


def _lengths(tokens: NDArray[np.int64]) -> LengthSummary:
    percentiles = np.percentile(tokens, _PERCENTS).tolist()
    by_name = {f"p{percent}": value for percent, value in zip(_PERCENTS, percentiles, strict=True)}
    return LengthSummary(mean=float(tokens.mean()), max=float(tokens.max()), **by_name)


def _window_rates(trace: Trace, num_windows: int) -> tuple[float, ...]:
    if trace.arrival_s is None or trace.duration_s is None:
        return ()
    # One model of a trace keeps the clock of the whole, which starts at 0.
    start = 0.0 if trace.window_s is not None else float(trace.arrival_s[0])
    count, _ = np.histogram(trace.arrival_s, bins=num_windows, range=(start, start + trace.duration_s))
    return tuple((count * num_windows / trace.duration_s).tolist())


def _interarrival_cv(arrival_s: NDArray[np.float64] | None) -> float | None:
    if arrival_s is None or len(arrival_s) < 3 or arrival_s[0] == arrival_s[-1]:
        return None
    gaps = np.diff(arrival_s)
    return float(gaps.std() / gaps.mean())
