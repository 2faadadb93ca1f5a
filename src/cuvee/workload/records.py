"""Requests, workload types and demand: what is asked of the fleet."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests read from a file, as columns of equal length.

    Attributes
        name            Where they come from, for tables.
        input_tokens    Prompt length of each request [tokens], shape (num_requests,), >= 1.
        output_tokens   Answer length of each request [tokens], shape (num_requests,), >= 1.
        arrival_s       Arrival, seconds from the first [s], shape (num_requests,), ascending; None for sets of lengths.
        model           Index into `model_names` of each request; None where the file names no model.
        num_skipped     Rows left out, by reason.
    """

    name: str
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    arrival_s: NDArray[np.float64] | None = None
    model: NDArray[np.int64] | None = None
    model_names: tuple[str, ...] = ()
    num_skipped: dict[str, int] = field(default_factory=dict)
    source: str = ""

    @property
    def num_requests(self) -> int:
        """Requests kept [-]."""
        return len(self.input_tokens)

    @property
    def duration_s(self) -> float | None:
        """Time from the first to the last arrival [s]; None without arrivals or with one request."""
        if self.arrival_s is None or self.num_requests < 2:
            return None
        span = float(self.arrival_s[-1] - self.arrival_s[0])
        return span if span > 0 else None

    @property
    def rate_req_per_s(self) -> float | None:
        """Mean arrival rate [req/s]; None without a duration."""
        return None if self.duration_s is None else (self.num_requests - 1) / self.duration_s


@dataclass(frozen=True)
class LengthBox:
    """Half-open box of request lengths [tokens]: low <= length < high; `high` may be infinite."""

    input_low: float
    input_high: float
    output_low: float
    output_high: float


@dataclass(frozen=True)
class WorkloadType:
    """Requests alike enough to be planned as one.

    Attributes
        name            Unique within a demand, e.g. "in2455-out18".
        input_tokens    Mean prompt length [tokens], > 0.
        output_tokens   Mean answer length [tokens], > 0.
        box             The lengths that belong to it; None for a type given by its means alone.
    """

    name: str
    input_tokens: float
    output_tokens: float
    box: LengthBox | None = None

    def __post_init__(self) -> None:
        for label in ("input_tokens", "output_tokens"):
            value = getattr(self, label)
            if not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"workload type {self.name!r}: {label} = {value!r}",
                    expected="a finite number of tokens above 0",
                )


@dataclass(frozen=True)
class Demand:
    """How many requests of each type, and how fast they arrive.

    Attributes
        types           Workload types with at least one request.
        num_requests    f_w: requests of each type [-], same order, > 0.
        rate_req_per_s  Arrival rate over all types [req/s]; None where it is not known.
        name            Where it comes from, for tables.
        notes           What was skipped or approximated, one a line.
    """

    types: tuple[WorkloadType, ...]
    num_requests: tuple[float, ...]
    rate_req_per_s: float | None = None
    name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.types or len(self.types) != len(self.num_requests):
            raise InputError(
                f"demand {self.name!r}: {len(self.types)} types and {len(self.num_requests)} request counts",
                expected="at least one type, and one count for each",
            )
        if any(not (np.isfinite(count) and count > 0) for count in self.num_requests):
            raise InputError(
                f"demand {self.name!r}: num_requests = {list(self.num_requests)}", expected="counts above 0"
            )
        if len({kind.name for kind in self.types}) != len(self.types):
            raise InputError(f"demand {self.name!r}: type names repeat", expected="unique names")
        if self.rate_req_per_s is not None and not (
            np.isfinite(self.rate_req_per_s) and self.rate_req_per_s > 0
        ):
            raise InputError(
                f"demand {self.name!r}: rate_req_per_s = {self.rate_req_per_s!r}",
                expected="a rate above 0 req/s",
            )

    @property
    def total_requests(self) -> float:
        """Requests over all types [-]."""
        return float(sum(self.num_requests))

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each type in all requests [-], sums to 1."""
        total = self.total_requests
        return tuple(count / total for count in self.num_requests)

    @property
    def mean_input_tokens(self) -> float:
        """Prompt tokens of an average request [tokens]."""
        return sum(share * kind.input_tokens for share, kind in zip(self.shares, self.types, strict=True))

    @property
    def mean_output_tokens(self) -> float:
        """Answer tokens of an average request [tokens]."""
        return sum(share * kind.output_tokens for share, kind in zip(self.shares, self.types, strict=True))
