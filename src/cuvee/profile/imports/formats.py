"""Which format a file has, told by its content, and the load points it states."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cuvee.catalog.records import Record
from cuvee.catalog.tables import parse_csv, parse_json, parse_yaml
from cuvee.errors import InputError, kind_of
from cuvee.files import BYTES_PER_MB, read_text
from cuvee.profile.figures import MEAN_TOKENS, RANGES, range_text
from cuvee.profile.imports import aiperf, guidellm, llmd_report, points_csv, vllm_bench
from cuvee.profile.imports.load_point import LoadPoint
from cuvee.profile.measurements import MEASURED

MAX_FILE_MB = 200.0
"""Largest file read [MB]; results without the list of requests are a thousandth of it."""

MAX_YAML_MB = 10.0
"""Largest YAML read [MB]: its parser takes some seconds for each."""

FORMATS = "results of vllm bench serve, GuideLLM or AIPerf (JSON), an llm-d Benchmark Report (YAML) or a CSV of points"
WHAT_TO_SAVE = "give the file of results that the load generator saves, not its log"

REPORT_KEY = re.compile(r"(?:\s*#[^\n]*\n|---[^\n]*\n|\s*\n)*(?:version|run|scenario|results|metrics):")
"""Beginning of a report: after comments, one of the keys at its top."""

Reader = Callable[[Record], list[LoadPoint]]


def read_load_points(path: str | Path, *, text: str | None = None) -> tuple[LoadPoint, ...]:
    """Load points of one file, plain or gzip, of any known format.

    Parameters
        text    Of the file, where it was read already.
    Raises      InputError: not readable, too large, no known format, or a field that is not what it should be;
                with its place.
    """
    if text is None:
        text = read_text(path, max_mb=MAX_FILE_MB, remedy="save the results without the list of single requests")
    points = tuple(_points(text, path))
    for point in points:
        _check(point)
    return points


def _check(point: LoadPoint) -> None:
    for length in (point.input_tokens, point.output_tokens):
        if not MEAN_TOKENS[0] <= length <= MEAN_TOKENS[1]:
            raise InputError(
                f"{point.place}: a mean length of {length:g} tokens",
                expected=range_text("tokens"),
                remedy="leave it out, or correct it",
            )
    tokens_per_s = point.output_tokens_per_s
    implied = None if tokens_per_s is None else tokens_per_s / point.output_tokens
    for value, unit, said in (
        (point.rate_req_per_s, "req/s", ""),
        (tokens_per_s, "tokens/s", ""),
        (implied, "req/s", f", which are {tokens_per_s} tokens/s in answers of {point.output_tokens:g}"),
    ):
        if value is not None and not RANGES[unit][0] <= value <= RANGES[unit][1]:
            raise InputError(
                f"{point.place}: {value:g} {unit}{said}",
                expected=range_text(unit),
                remedy="leave it out, or correct it",
            )
    if not any((point.rate_req_per_s, point.output_tokens_per_s, point.ttft, point.tpot)):
        raise InputError(
            f"{point.place}: nothing measured",
            expected="a rate, TTFT or TPOT",
            remedy=f"leave it out, or fill in one of {', '.join(MEASURED)} where it is a row of a CSV",
        )


def _points(text: str, path: str | Path) -> list[LoadPoint]:
    if not text.strip():
        raise InputError(f"{path}: empty", expected=FORMATS, remedy=WHAT_TO_SAVE)
    if text.lstrip().startswith(("{", "[")):
        return _of_json(text, str(path))
    if REPORT_KEY.match(text):
        return [_of_yaml(text, str(path))]
    return _of_csv(text, str(path))


def _of_yaml(text: str, path: str) -> LoadPoint:
    if len(text) > MAX_YAML_MB * BYTES_PER_MB:
        raise InputError(
            f"{path}: more than {MAX_YAML_MB:g} MB of YAML",
            expected=f"at most {MAX_YAML_MB:g} MB",
            remedy="leave out its time series, or save it as JSON",
        )
    content = parse_yaml(text, path, FORMATS)
    if not (isinstance(content, dict) and llmd_report.is_report(content)):
        raise _unknown(path, "YAML that is no report")
    return llmd_report.read_report(Record(path, content))


def _of_json(text: str, path: str) -> list[LoadPoint]:
    records = [Record(place, content) for place, content in _objects(text, path)]
    if aiperf.is_record(dict(records[0].values)):
        return [aiperf.read_records(records, path)]
    return [point for record in records for point in _reader(record)(record)]


def _objects(text: str, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects of a JSON text, or of one with an object on each line, and where they stand."""
    for place, content in _contents(text, path):
        if not isinstance(content, dict):
            raise _unknown(place, kind_of(content))
        yield place, content


def _contents(text: str, path: str) -> Iterator[tuple[str, Any]]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > 1 and _is_object(lines[0][1]):
        for number, line in lines:
            yield f"{path}:{number}", parse_json(line, f"{path}:{number}", FORMATS)
    else:
        yield path, parse_json(text, path, FORMATS)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _reader(record: Record) -> Reader:
    content = dict(record.values)
    if vllm_bench.is_vllm(content):
        return lambda record: [vllm_bench.read_vllm(record)]
    if guidellm.is_guidellm(content):
        return guidellm.read_guidellm
    if aiperf.is_summary(content):
        return lambda record: [aiperf.read_summary(record)]
    if llmd_report.is_report(content):
        return lambda record: [llmd_report.read_report(record)]
    raise _unknown(record.place, f"an object with {', '.join(map(str, list(content)[:6])) or 'no fields'}")


def _of_csv(text: str, path: str) -> list[LoadPoint]:
    columns, records = parse_csv(text, path)
    if not points_csv.is_points(columns):
        raise _unknown(path, f"columns {', '.join(columns)[:120]}")
    found = [points_csv.read_points(record) for record in records]
    if not found:
        raise InputError(f"{path}: no rows", expected="at least one measured point", remedy=WHAT_TO_SAVE)
    return found


def _unknown(place: str, what: str) -> InputError:
    return InputError(f"{place}: no known format ({what})", expected=FORMATS, remedy=WHAT_TO_SAVE)
