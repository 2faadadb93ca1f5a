"""Cells of a text file as numbers, with messages that name file, line and column."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.workload.columns import ArrivalUnit
from cuvee.workload.records import MAX_TOKENS_PER_REQUEST

MAX_EXACT_FLOAT: Final = 2.0**53
MOST_BLOCK_NUMBER: Final = 2**62
MISSING_TOKENS: Final = -(2**60)
SECONDS_PER_UNIT: Final = {"s": 1.0, "ms": 1e-3}

# Near the dates of real traces: seconds from 1970 would leave a float only 0.2 microseconds.
_ORIGIN: Final = datetime(2024, 1, 1)
_ORIGIN_UTC: Final = _ORIGIN.replace(tzinfo=UTC)
_NUM_FAST_DIGITS: Final = 8


@dataclass(frozen=True)
class Column:
    """Raw cells of consecutive rows in one column.

    Attributes
        file, name    File and column, for messages.
        lines         Line of each cell in the file, from 1.
        cells         Text of each cell; empty where missing.
    """

    file: str
    name: str
    lines: Sequence[int]
    cells: Sequence[str]

    def error(self, index: int, expected: str) -> InputError:
        """Error that the cell at `index` deserves."""
        return InputError(
            f"{self.file}:{self.lines[index]}, column {self.name!r}: {self.cells[index][:40]!r}",
            expected=expected,
            remedy="correct or remove the row",
        )


def parse_number(text: str) -> float | None:
    """Finite number of at most 2^53 in size, or None."""
    if "_" in text or not text.isascii():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= MAX_EXACT_FLOAT else None


def parse_tokens(column: Column) -> NDArray[np.int64]:
    """Token counts [tokens]; MISSING_TOKENS for empty cells; zero and negative counts pass.

    Raises    InputError: not a whole number, or more than 100 million.
    """
    cells = column.cells
    joined = "".join(cells)
    if joined.isascii() and joined.isdigit():
        widths = {len(cell) for cell in cells}
        if min(widths) > 0 and max(widths) <= _NUM_FAST_DIGITS:
            return np.array(list(map(int, cells)), dtype=np.int64)
    return np.array([_token_count(column, index) for index in range(len(cells))], dtype=np.int64)


def parse_arrivals(column: Column, unit: ArrivalUnit) -> NDArray[np.float64]:
    """Arrival times from an arbitrary origin [s]; NaN for empty cells.

    Raises    InputError: not a finite number, or not a date and time where `unit` is "iso".
    """
    try:
        values = _all_dates(column.cells) if unit == "iso" else _all_numbers(column.cells)
    except (ValueError, TypeError, OverflowError):
        # Some cell is empty, wrong or of another form than the first: read one by one, to name it.
        read = _date_and_time if unit == "iso" else _seconds
        values = np.array([read(column, index) for index in range(len(column.cells))], dtype=np.float64)
    return values * SECONDS_PER_UNIT.get(unit, 1.0)


def _all_dates(cells: Sequence[str]) -> NDArray[np.float64]:
    stamps = list(map(datetime.fromisoformat, cells))
    origin = _ORIGIN if stamps[0].tzinfo is None else _ORIGIN_UTC
    return np.array([(stamp - origin).total_seconds() for stamp in stamps], dtype=np.float64)


def _all_numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    joined = "".join(cells)
    if "_" in joined or not joined.isascii():
        raise ValueError
    values = np.array(list(map(float, cells)), dtype=np.float64)
    # Written so that NaN fails too.
    if not (np.abs(values) <= MAX_EXACT_FLOAT).all():
        raise ValueError
    return values


def _token_count(column: Column, index: int) -> int:
    text = column.cells[index].strip()
    if not text:
        return MISSING_TOKENS
    value = parse_number(text)
    if value is None or value != int(value):
        raise column.error(index, "a whole number of tokens")
    if abs(value) > MAX_TOKENS_PER_REQUEST:
        raise column.error(index, f"at most {MAX_TOKENS_PER_REQUEST:,} tokens in a request")
    return int(value)


def _seconds(column: Column, index: int) -> float:
    text = column.cells[index].strip()
    if not text:
        return math.nan
    value = parse_number(text)
    if value is None:
        raise column.error(index, "a time as a finite number")
    return value


def _date_and_time(column: Column, index: int) -> float:
    text = column.cells[index].strip()
    if not text:
        return math.nan
    try:
        stamp = datetime.fromisoformat(text)
        return (stamp - (_ORIGIN if stamp.tzinfo is None else _ORIGIN_UTC)).total_seconds()
    except (ValueError, OverflowError):
        raise column.error(index, "a date and time such as 2023-11-16 18:15:46.680") from None


def parse_blocks(column: Column) -> list[Sequence[int]]:
    """Numbers of the blocks of each row: a list in brackets; none where the cell is empty."""
    return [_blocks(column, index) if cell.strip() else () for index, cell in enumerate(column.cells)]


def _blocks(column: Column, index: int) -> list[int]:
    try:
        found = [int(each) for each in json.loads(column.cells[index])]
    except (ValueError, TypeError, RecursionError):
        found = [-1]
    if any(not 0 <= each < MOST_BLOCK_NUMBER for each in found):
        raise column.error(index, "a list of whole numbers from 0, such as [0, 1, 2]")
    return found
