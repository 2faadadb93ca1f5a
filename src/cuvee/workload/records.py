"""Requests, workload types and demand: what is asked of the fleet."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.workload.prefixes import Prefixes

MAX_TOKENS_PER_REQUEST: Final = 100_000_000
"""Longest prompt or answer accepted [tokens]: far above any model, and products of two stay exact."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests read from a file, as columns of equal length.

    Attributes
        name            Where they come from, for tables.
        input_tokens    Prompt length of each request [tokens], shape (num_requests,), >= 1.
        output_tokens   Answer length of each request [tokens], shape (num_requests,), >= 1.
        arrival_s       Arrival after the first of the file [s], same shape, ascending; None for sets of lengths.
        model           Index into `model_names` of each request; None where the file names no model.
        num_skipped     Rows left out, by reason.
        source          File the requests were read from.
        notes           What was changed or not found on reading, one a line.
        window_s        Time observed [s], where it is longer than first to last arrival: one model of a
                        trace is observed for as long as the whole trace.
        prefixes        Which prompts begin alike; None where the file does not tell.
    """

    name: str
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    arrival_s: NDArray[np.float64] | None = None
    model: NDArray[np.int64] | None = None
    model_names: tuple[str, ...] = ()
    num_skipped: dict[str, int] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()
    window_s: float | None = None
    prefixes: Prefixes | None = None

    def __post_init__(self) -> None:
        columns = (self.input_tokens, self.output_tokens, self.arrival_s, self.model)
        shapes = [column.shape for column in columns if column is not None]
        if self.prefixes is not None:
            shapes.append((self.prefixes.num_requests,))
        if any(shape != (self.num_requests,) for shape in shapes) or self.num_requests == 0:
            raise InputError(
                f"trace {self.name!r}: columns of shapes {shapes}",
                expected="at least one request, and columns of one length",
                remedy="give one value of each column for each request",
            )
        self._check_tokens()
        if self.arrival_s is not None and not (
            np.isfinite(self.arrival_s).all() and (np.diff(self.arrival_s) >= 0).all()
        ):
            raise InputError(
                f"trace {self.name!r}: arrivals are not finite and ascending",
                expected="finite times [s] in ascending order",
                remedy="sort the requests by arrival",
            )

    def _check_tokens(self) -> None:
        for label in ("input_tokens", "output_tokens"):
            tokens = getattr(self, label)
            whole = np.issubdtype(tokens.dtype, np.integer)
            if not (whole and tokens.min() >= 1 and tokens.max() <= MAX_TOKENS_PER_REQUEST):
                raise InputError(
                    f"trace {self.name!r}: {label} of type {tokens.dtype} from {tokens.min()} to {tokens.max()}",
                    expected=f"whole numbers from 1 to {MAX_TOKENS_PER_REQUEST:,} tokens",
                    remedy="leave out requests without tokens, and check the unit of the others",
                )

    @property
    def num_requests(self) -> int:
        """Requests kept [-]."""
        return len(self.input_tokens)

    @property
    def duration_s(self) -> float | None:
        """Time observed [s]: first to last arrival, or `window_s`; None without arrivals or span."""
        if self.arrival_s is None:
            return None
        if self.window_s is not None:
            return self.window_s
        span = float(self.arrival_s[-1] - self.arrival_s[0])
        return span if span > 0 else None

    @property
    def rate_req_per_s(self) -> float | None:
        """Mean arrival rate [req/s]; None without a duration."""
        if self.duration_s is None:
            return None
        # From first to last arrival there is one gap fewer than requests; a given window has no such bias.
        num_gaps = self.num_requests - 1 if self.window_s is None else self.num_requests
        return num_gaps / self.duration_s


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
        input_tokens    Mean prompt length [tokens], > 0; 0 with an answer length of 0 where neither is known.
        output_tokens   Mean answer length [tokens], > 0; 0 with a prompt length of 0.
        box             The lengths that belong to it; None for a type given by its means alone.
    """

    name: str
    input_tokens: float
    output_tokens: float
    box: LengthBox | None = None

    @property
    def lengths_known(self) -> bool:
        """Whether it says how long its requests are."""
        return self.input_tokens > 0

    def __post_init__(self) -> None:
        if self.input_tokens == self.output_tokens == 0:
            return
        for label in ("input_tokens", "output_tokens"):
            value = getattr(self, label)
            if not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"workload type {self.name!r}: {label} = {value!r}",
                    expected="a finite number of tokens above 0",
                )


LEAST_SHARE = 1e-12
"""Share of all requests that a type has at least [-]: one in a trillion."""


MOST_REQ_PER_S = 1e12
"""Arrival rate from which a number is a slip [req/s]: more than a hundred a second for everyone alive."""


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
        rarest = min(self.shares)
        if rarest < LEAST_SHARE:
            name = self.types[self.shares.index(rarest)].name
            raise InputError(
                f"demand {self.name!r}: type {name!r} has {rarest:.2g} of the requests",
                expected=f"at least {LEAST_SHARE:g} of them, or no such type",
                remedy="leave the type out",
            )
        if len({kind.name for kind in self.types}) != len(self.types):
            raise InputError(f"demand {self.name!r}: type names repeat", expected="unique names")
        if self.rate_req_per_s is not None and not 0 < self.rate_req_per_s <= MOST_REQ_PER_S:
            raise InputError(
                f"demand {self.name!r}: rate_req_per_s = {self.rate_req_per_s!r}",
                expected=f"a rate above 0 req/s, and {MOST_REQ_PER_S:g} at most",
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


def type_names(means: Iterable[tuple[float, float]]) -> list[str]:
    """Names such as "in2455-out18" of mean prompt and answer lengths [tokens]; repeats get "-2", "-3"..."""
    seen: Counter[str] = Counter()
    names = []
    for input_tokens, output_tokens in means:
        base = f"in{input_tokens:.0f}-out{output_tokens:.0f}"
        seen[base] += 1
        names.append(base if seen[base] == 1 else f"{base}-{seen[base]}")
    return names
