"""Files of offers, and of other lists, as records: CSV with line numbers, JSON and YAML with paths; CSV to write."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cuvee.catalog.records import Record
from cuvee.errors import InputError, kind_of, reason_of
from cuvee.files import read_text, require_commas
from cuvee.plain_yaml import load_yaml
from cuvee.units import is_number

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_COLUMNS = 200

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a text that a spreadsheet takes for a formula, and computes."""

QUOTE = "'"
"""Stands before such a text in the CSV that we write, and is taken away where we read it."""


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV of `rows`, in which no text is a formula to a spreadsheet; `parse_csv` gives the texts back."""
    stream = StringIO()
    csv.writer(stream, lineterminator="\n").writerow(columns)
    return stream.getvalue() + csv_lines(rows)


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """The same without columns: a piece of a CSV."""
    stream = StringIO()
    csv.writer(stream, lineterminator="\n").writerows([_guarded(cell) for cell in row] for row in rows)
    return stream.getvalue()


def _guarded(cell: object) -> object:
    is_text = isinstance(cell, str) and cell.lstrip(QUOTE).startswith(FORMULA) and not is_number(cell)
    return f"{QUOTE}{cell}" if is_text else cell


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith(QUOTE) and cell.lstrip(QUOTE).startswith(FORMULA) else cell


def parse_csv(text: str, path: str) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Columns and rows of a CSV; blank lines are skipped.

    Raises      InputError: no header, a column twice, a row with more or fewer fields than the header, a broken
                quote or a field beyond the csv module's limit; the last three while rows are read.
    """
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    header = tuple(name.strip() for name in _next_row(reader, path) or ())
    if not any(header):
        raise InputError(f"{path}: empty", expected="a header line and at least one row")
    require_commas(header, f"{path}:1")
    if len(header) > MAX_COLUMNS:
        raise InputError(f"{path}:1: {len(header)} columns", expected=f"at most {MAX_COLUMNS} columns")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(
            f"{path}:1: column {twice[0]!r} stands there twice",
            expected="every column once",
            remedy="rename or remove one",
        )
    return header, _rows(reader, header, path)


def _rows(reader: Any, header: tuple[str, ...], path: str) -> Iterator[Record]:  # noqa: ANN401 csv has no public type
    while (row := _next_row(reader, path)) is not None:
        place = f"{path}:{reader.line_num}"
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(header):
            raise InputError(
                f"{place}: {len(row)} fields",
                expected=f"{len(header)}, as the header has",
                remedy="quote fields that hold commas",
            )
        yield Record(place, dict(zip(header, map(_plain, row), strict=True)))


def _next_row(reader: Any, path: str) -> list[str] | None:  # noqa: ANN401
    """Next row that is not blank, None at the end."""
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        raise InputError(
            f"{path}:{reader.line_num}: {error}", expected="comma-separated lines", remedy="check the quotes"
        ) from None
    return row


def parse_json(text: str, path: str, expected: str = "a list of offers") -> Any:  # noqa: ANN401 the readers check the shape
    """Content of a JSON text; raises InputError with line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}:{error.colno}: not JSON ({error.msg.lower()})",
            expected=expected,
            remedy="see whether the file was cut off; YAML is told by the name .yaml",
        ) from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path}: not usable JSON ({reason_of(error)})", expected=expected) from None


def parse_yaml(text: str, path: str, expected: str = "a list of offers", remedy: str = "") -> Any:  # noqa: ANN401 the readers check the shape
    """Content of a YAML text; raises InputError with line and column where known."""
    try:
        return load_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise InputError(f"{place}: not YAML ({error.problem})", expected=expected, remedy=remedy) from None
    # PyYAML lets its scalar constructors fail with whatever they hit, e.g. on the date 2026-99-99.
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise InputError(f"{path}: not usable YAML ({reason_of(error)})", expected=expected, remedy=remedy) from None


def checked_yaml(path: str | Path, schema: "type[BaseModel]", expected: str, remedy: str) -> dict[str, Any]:
    """Fields of a YAML file, each as `schema` has it; raises InputError that names the first that is not."""
    from pydantic import ValidationError

    record = parse_yaml(read_text(path), str(path), expected, remedy)
    if not isinstance(record, dict):
        raise InputError(f"{path}: {kind_of(record)}", expected=expected, remedy=remedy)
    try:
        return schema.model_validate(record).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}", expected=expected, remedy=remedy) from None


def records_of(items: object, place: str, expected: str = "a list of offers") -> list[Record]:
    """Records of a JSON or YAML list; raises InputError where an entry is no object."""
    if not isinstance(items, list):
        raise InputError(f"{place}: {kind_of(items)}", expected=expected)
    for index, item in enumerate(items):
        if not isinstance(item, dict) or not all(isinstance(key, str) for key in item):
            raise InputError(f"{place}[{index}]: {kind_of(item)}", expected="an object with named fields")
    return [Record(f"{place}[{index}]", item) for index, item in enumerate(items)]
