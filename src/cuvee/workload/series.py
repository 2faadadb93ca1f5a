"""Demand over time: rates at regular steps, from a file or built in."""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError, UnknownNameError
from cuvee.files import open_text
from cuvee.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from cuvee.workload.cells import Column, parse_number
from cuvee.workload.rows import csv_table

SECONDS_COLUMNS: Final = ("t_s", "time_s")
CLOCK_COLUMNS: Final = ("time", "timestamp")
RATE_COLUMNS: Final = ("requests_per_s", "rate_req_per_s")
COUNT_COLUMNS: Final = ("requests", "num_requests")

STEP_TOLERANCE: Final = 0.1
"""By what share of a step the distance of two rows may be off [-]: monitoring systems are not punctual."""

_EXPECTED: Final = (
    f"a time ({', '.join(SECONDS_COLUMNS)} in seconds; {', '.join(CLOCK_COLUMNS)} as date and time or time of day) "
    f"and a demand ({', '.join(RATE_COLUMNS)} in req/s; {', '.join(COUNT_COLUMNS)} per step)"
)
_SUFFIXES: Final = (".csv", ".csv.gz", ".gz", ".txt")
_BUILT_IN: Final = {"servegen-small": "data/servegen_small_hourly.csv"}


@dataclass(frozen=True, eq=False)
class DemandSeries:
    """Mean request rates at regular steps.

    Attributes
        name              Where they come from, for tables.
        clock_s           Start of each step: seconds from midnight of the first day, by the clock of the file [s].
        rate_req_per_s    Mean rate over each step [req/s], same shape, >= 0.
        step_s            Length of a step [s].
        source            File or data set the rates were read from.
        notes             What was left out or assumed, one a line.
    """

    name: str
    clock_s: NDArray[np.float64]
    rate_req_per_s: NDArray[np.float64]
    step_s: float
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.clock_s.shape != self.rate_req_per_s.shape or self.clock_s.ndim != 1 or not len(self.clock_s):
            raise InputError(
                f"series {self.name!r}: shapes {self.clock_s.shape} and {self.rate_req_per_s.shape}",
                expected="at least one step, with one time and one rate each",
            )
        rates = self.rate_req_per_s
        if not (np.isfinite(rates).all() and rates.min() >= 0 and rates.max() > 0 and self.step_s > 0):
            raise InputError(
                f"series {self.name!r}: rates from {rates.min()} to {rates.max()} req/s in steps of {self.step_s} s",
                expected="finite rates, none below 0 and some above",
                remedy="check the column of the demand",
            )


def series_names() -> tuple[str, ...]:
    """Names of the built-in series."""
    return tuple(_BUILT_IN)


def load_series(name: str | Path) -> DemandSeries:
    """Demand over time.

    Parameters
        name    "servegen-small", or a CSV file with a header, plain or gzip. Its time is a column t_s or time_s
                (seconds, counted from a midnight) or time or timestamp (date and time, or time of day; the clock of
                the file counts, whatever its zone); its demand requests_per_s or rate_req_per_s, or requests or
                num_requests per step. Other columns are not read.
    Raises      UnknownNameError: neither; InputError: unreadable, unknown columns, a cell of another kind, times that
                do not ascend in regular steps.
    Notes       Rows without a demand are left out and counted: what nobody measured is not a demand of 0.
    """
    known = _BUILT_IN.get(str(name).strip().lower())
    if known is not None:
        text = resources.files("cuvee.workload").joinpath(known).read_text(encoding="utf-8")
        notes = ("hourly means of a production chat service over 14 days; ServeGen (arXiv 2505.09999), Apache-2.0",)
        return _read(StringIO(text, newline=""), known, str(name).strip().lower(), notes)
    if not (isinstance(name, Path) or "/" in name or name.lower().endswith(_SUFFIXES) or Path(name).exists()):
        raise UnknownNameError(
            "demand series", name, series_names(), remedy="name a built-in series, or the path of a CSV file"
        )
    with open_text(name) as stream:
        return _read(stream, str(name), _stem(name), ())


@dataclass
class _Rows:
    """Rows read so far, with their lines; a demand that nobody measured is NaN."""

    lines: list[int] = field(default_factory=list)
    elapsed_s: list[float] = field(default_factory=list)
    clock_s: list[float] = field(default_factory=list)
    demand: list[float] = field(default_factory=list)


def _read(stream: TextIO, file: str, name: str, notes: tuple[str, ...]) -> DemandSeries:
    line, header, cells = csv_table(stream, file, "a demand series as CSV with a header")
    time_column = _column(header, (*SECONDS_COLUMNS, *CLOCK_COLUMNS), f"{file}:{line}")
    demand_column = _column(header, (*RATE_COLUMNS, *COUNT_COLUMNS), f"{file}:{line}")
    positions = header.index(time_column), header.index(demand_column)
    rows = _Rows()
    clock = _Clock(in_seconds=time_column.lower() in SECONDS_COLUMNS)
    for number, row in cells:
        when, demand = (row[position].strip() for position in positions)
        elapsed_s, clock_s = clock.read(Column(file, time_column, (number,), (when,)))
        rows.lines.append(number)
        rows.elapsed_s.append(elapsed_s)
        rows.clock_s.append(clock_s)
        rows.demand.append(_amount(Column(file, demand_column, (number,), (demand,))))
    demanded = np.array(rows.demand)
    known = ~np.isnan(demanded)
    if known.sum() < 2:
        raise InputError(
            f"{file}: {known.sum()} rows with a demand",
            expected="a day or more, in regular steps",
            remedy="give the demand of at least one whole day",
        )
    step_s = _step(rows, file, time_column)
    counted = demand_column.lower() in COUNT_COLUMNS
    rates = demanded[known] / (step_s if counted else 1.0)
    if not known.all():
        notes = (*notes, f"rows without a demand left out: {(~known).sum()}")
    clock_s = np.array(rows.clock_s)[known]
    first_midnight = clock_s.min() // SECONDS_PER_DAY * SECONDS_PER_DAY
    if not rates.max() > 0:
        raise InputError(f"{file}: every demand is 0", expected="at least one above 0", remedy="check the column")
    return DemandSeries(name, clock_s - first_midnight, rates, step_s, file, notes)


def _column(header: list[str], names: tuple[str, ...], place: str) -> str:
    """The one column of the header with one of these names, whatever its case."""
    found = [column for column in header if column.lower() in names]
    if len(found) != 1:
        shown = ", ".join(repr(column[:40]) for column in header[:20])
        raise InputError(
            f"{place}: {'no' if not found else len(found)} column{'s' * (len(found) > 1)} out of "
            f"{', '.join(names)} in {shown}",
            expected=_EXPECTED,
            remedy="rename the columns",
        )
    return found[0]


class _Clock:
    """Times of consecutive rows: as time gone by, and as the file's own clock shows it."""

    def __init__(self, *, in_seconds: bool) -> None:
        self._in_seconds = in_seconds
        self._last_time_of_day_s = -1.0
        self._days = 0

    def read(self, cell: Column) -> tuple[float, float]:
        """Seconds gone by and seconds from a midnight by the clock, each from an origin of its own."""
        text = cell.cells[0]
        if self._in_seconds:
            value = parse_number(text)
            if value is None or value < 0:
                raise cell.error(0, "a time in seconds, 0 or more")
            return value, value
        if ":" in text[:3] and text.count("-") == 0:
            return self._time_of_day(cell)
        try:
            stamp = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise cell.error(0, "a date and time such as 2026-03-01 08:00, or a time of day such as 08:00") from None
        origin = datetime(2024, 1, 1)
        shown_s = (stamp.replace(tzinfo=None) - origin).total_seconds()
        return shown_s - (stamp.utcoffset() or timedelta()).total_seconds(), shown_s

    def _time_of_day(self, cell: Column) -> tuple[float, float]:
        """A time of day that is not after the one before begins the next day."""
        try:
            text = cell.cells[0]
            shown = time.fromisoformat(f"0{text}" if text[1:2] == ":" else text)
        except ValueError:
            raise cell.error(0, "a time of day such as 08:00") from None
        seconds = shown.hour * SECONDS_PER_HOUR + shown.minute * 60 + shown.second
        self._days += seconds <= self._last_time_of_day_s
        self._last_time_of_day_s = seconds
        return (self._days * SECONDS_PER_DAY + seconds,) * 2


def _amount(cell: Column) -> float:
    if not cell.cells[0]:
        return np.nan
    value = parse_number(cell.cells[0])
    if value is None or value < 0:
        raise cell.error(0, "a number, 0 or more")
    return value


def _step(rows: _Rows, file: str, column: str) -> float:
    """The length of a step: the usual distance of two rows, of which all others are multiples [s]."""
    gaps_s = np.diff(rows.elapsed_s)
    backward = np.flatnonzero(gaps_s <= 0)
    if len(backward):
        raise InputError(
            f"{file}:{rows.lines[backward[0] + 1]}, column {column!r}: not after the row before",
            expected="times that ascend",
            remedy="sort the rows by time, and keep one row for each",
        )
    step_s = float(np.median(gaps_s))
    steps = np.maximum(np.round(gaps_s / step_s), 1.0)
    uneven = np.flatnonzero(np.abs(gaps_s / step_s - steps) > STEP_TOLERANCE)
    if len(uneven):
        raise InputError(
            f"{file}:{rows.lines[uneven[0] + 1]}, column {column!r}: {gaps_s[uneven[0]]:g} s after the row before",
            expected=f"{step_s:g} s, as between most rows, or a multiple of it",
            remedy="give the demand at regular steps",
        )
    return step_s


def _stem(path: str | Path) -> str:
    stem = Path(path).name
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem or str(path)
