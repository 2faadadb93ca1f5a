"""Rows of a CSV or JSONL file in batches of raw columns: memory holds one batch, not the file."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TextIO

from cuvee.errors import InputError, kind_of
from cuvee.workload.cells import Column
from cuvee.workload.columns import ColumnNames, find_columns

# Few enough that the garbage collector does not walk all rows of a batch again and again: 16,384 take twice
# the time.
ROWS_PER_BATCH: Final = 1024

# Numbers stay text, so that one parser with one set of messages reads CSV and JSON.
_JSON: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)

_Row = tuple[int, Sequence[str]]


@dataclass(frozen=True)
class Batch:
    """Consecutive rows as raw columns; `columns` says how to read them."""

    columns: ColumnNames
    inputs: tuple[Column, ...]
    output: Column
    arrival: Column | None
    model: Column | None
    blocks: Column | None


def read_batches(stream: TextIO, file: str, asked: ColumnNames | None) -> Iterator[Batch]:
    """Batches of a trace file: JSONL where the first line opens a brace, else CSV with a header.

    Parameters
        stream    Text, read once from front to back.
        file      Its name, for messages.
        asked     Columns the user named; None to recognise the format.
    Raises      InputError: an unknown header, a row of another width, broken JSON.
    """
    number, first = next(_filled_lines(stream, start=1), (0, ""))
    if not first:
        raise InputError(
            f"{file}: no content",
            expected="a trace as CSV with a header or as JSONL",
            remedy="check the path",
        )
    if first.lstrip().startswith(("{", "[")):
        record = _json_object(number, first, file)
        columns = find_columns(list(record), f"{file}:{number}", asked)
        lines = chain([(number, first)], _filled_lines(stream, start=number + 1))
        yield from _batches(_json_rows(lines, file, columns), range(len(columns.used)), columns, file)
    else:
        header = _csv_header(first)
        columns = find_columns(header, f"{file}:{number}", asked)
        rows = _csv_rows(stream, file, num_cells=len(header), num_lines_before=number)
        yield from _batches(rows, [header.index(name) for name in columns.used], columns, file)


def csv_table(stream: TextIO, file: str, expected: str) -> tuple[int, list[str], Iterator[_Row]]:
    """Line of the header, its columns, and the rows after it with their lines; raises as `read_batches` does.

    Parameters
        expected    What the file should be, for the message about one without content.
    """
    number, first = next(_filled_lines(stream, start=1), (0, ""))
    if not first:
        raise InputError(f"{file}: no content", expected=expected, remedy="check the path")
    header = _csv_header(first)
    return number, header, _csv_rows(stream, file, num_cells=len(header), num_lines_before=number)


def _csv_header(line: str) -> list[str]:
    # strict: without it a stray quote silently swallows rows.
    return [name.strip() for name in next(csv.reader([line], strict=True))]


def _filled_lines(stream: TextIO, *, start: int) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their number in the file."""
    return ((number, line) for number, line in enumerate(stream, start=start) if not line.isspace())


def _csv_rows(stream: TextIO, file: str, *, num_cells: int, num_lines_before: int) -> Iterator[_Row]:
    reader = csv.reader(stream, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{file}:{num_lines_before + reader.line_num}: {error}",
                expected="comma-separated cells",
                remedy="check the quotes",
            ) from None
        if cells is None:
            return
        if len(cells) == num_cells:
            yield num_lines_before + reader.line_num, cells
        elif any(cell.strip() for cell in cells) or len(cells) > 1:
            raise InputError(
                f"{file}:{num_lines_before + reader.line_num}: {len(cells)} cells",
                expected=f"{num_cells} cells, as in the header",
                remedy="correct or remove the row",
            )


def _json_rows(lines: Iterable[tuple[int, str]], file: str, columns: ColumnNames) -> Iterator[_Row]:
    for number, text in lines:
        record = _json_object(number, text, file)
        yield number, [_cell(record.get(name)) for name in columns.used]


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _json_object(number: int, text: str, file: str) -> dict[str, object]:
    try:
        record = _JSON.decode(text)
    except json.JSONDecodeError as error:
        arrived = f"{error.msg}, at character {error.colno}"
    except RecursionError:
        arrived = "brackets nested too deep"
    else:
        if isinstance(record, dict):
            return record
        arrived = kind_of(record)
    raise InputError(
        f"{file}:{number}: {arrived}",
        expected="one JSON object a line",
        remedy="write the trace as JSONL, one request a line",
    )


def _batches(rows: Iterable[_Row], positions: Sequence[int], columns: ColumnNames, file: str) -> Iterator[Batch]:
    lines: list[int] = []
    kept: list[Sequence[str]] = []
    for number, cells in rows:
        lines.append(number)
        kept.append(cells)
        if len(kept) == ROWS_PER_BATCH:
            yield _batch(lines, kept, positions, columns, file)
            lines, kept = [], []
    if kept:
        yield _batch(lines, kept, positions, columns, file)


def _batch(
    lines: Sequence[int],
    rows: Sequence[Sequence[str]],
    positions: Sequence[int],
    columns: ColumnNames,
    file: str,
) -> Batch:
    cells = tuple(zip(*rows, strict=True))
    by_name = {
        name: Column(file, name, lines, cells[position]) for name, position in zip(columns.used, positions, strict=True)
    }
    return Batch(
        columns=columns,
        inputs=tuple(by_name[name] for name in columns.input_columns),
        output=by_name[columns.output_tokens],
        arrival=None if columns.arrival is None else by_name[columns.arrival],
        model=None if columns.model is None else by_name[columns.model],
        blocks=None if columns.blocks is None else by_name[columns.blocks],
    )
