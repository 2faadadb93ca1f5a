"""The record of a measurement: all that was asked, sent and seen, written after every point, read to go on."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cuvee._version import __version__
from cuvee.errors import InputError, reason_of
from cuvee.files import read_text, write_atomic
from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.measure.allowance import Sent
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.point import Point
from cuvee.profile.measure.sending import EXACT_LENGTH
from cuvee.profile.measure.server_facts import ServerFacts
from cuvee.workload.records import WorkloadType

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 1
MAX_FILE_MB = 64.0
BEARABLE = ("max_concurrency", "timeout_s", "most_failed", "loads")
"""Options that may differ when a measurement goes on: they change no figure that is there."""

PROMPT_LENGTHS = ("tokens_per_word", "added_tokens")

ANEW = "repeat the options of then, give another --save, or begin anew with --force"


@dataclass(frozen=True)
class FirstAnswer:
    """What the first request of a type showed.

    Attributes
        end_to_end_s    Time it took alone [s].
        refused         The server's words where it takes no such request; empty where it does.
        impossible      Lengths that it stated and no request has; empty where there are none.
    """

    end_to_end_s: float = 0.0
    refused: str = ""
    impossible: str = ""


@dataclass(frozen=True)
class MeasureRecord:
    """One measurement, over all its runs.

    Attributes
        url             Root of the server.
        deployment      What is behind it, as the user says.
        content_seed    Of prompts: drawn for this record alone, so that no prefix cache knows them.
        prompts         How prompts are made; None before the server was probed.
        extra           Fields beyond the OpenAI API that the server takes.
        tried           First answers, by type.
    """

    url: str
    deployment: Deployment
    types: tuple[WorkloadType, ...]
    options: MeasureOptions
    facts: ServerFacts
    content_seed: int
    prompts: dict[str, Any] | None = None
    extra: tuple[str, ...] = ()
    sent: Sent = field(default_factory=Sent)
    tried: dict[str, FirstAnswer] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    started: str = ""

    def with_point(self, point: Point) -> "MeasureRecord":
        """With one more point, in the place of an earlier one of the same load."""
        others = tuple(each for each in self.points if each.key != point.key)
        return replace(self, points=(*others, point))

    def points_of(self, workload: WorkloadType) -> tuple[Point, ...]:
        """Points of one type."""
        return tuple(point for point in self.points if point.type_name == workload.name)


@cache
def _adapter() -> "TypeAdapter[MeasureRecord]":
    from pydantic import TypeAdapter  # 0.1 s to import: only those who go on pay

    return TypeAdapter(MeasureRecord)


def save_record(record: MeasureRecord, path: Path, *, is_durable: bool = True) -> None:
    """Write the record, as `write_atomic`; types without their boxes, which may be open and which nobody measures."""
    boxless = replace(record, types=tuple(replace(each, box=None) for each in record.types))
    content = {"schema_version": SCHEMA_VERSION, "cuvee_version": __version__, **asdict(boxless)}
    write_atomic(path, json.dumps(content, indent=1, allow_nan=False) + "\n", is_durable=is_durable)


def load_record(path: Path) -> MeasureRecord:
    """Read a record; raises InputError where the file is none, or holds what no measurement has written."""
    from pydantic import ValidationError

    def refusal(what: str) -> InputError:
        expected = f"a record of cuvee profile of schema_version {SCHEMA_VERSION}"
        remedy = "give another --save, or begin anew with --force"
        return InputError(f"{path}: {what}", expected=expected, remedy=remedy)

    text = read_text(path, max_mb=MAX_FILE_MB)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refusal(f"not JSON ({reason_of(error)})") from None
    version = content.pop("schema_version", None) if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise refusal("no schema_version" if version is None else f"schema_version {version!r}")
    try:
        record = _adapter().validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        said = cause.arrived if isinstance(cause, InputError) else first["msg"]
        raise refusal(": ".join(filter(None, (".".join(map(str, first["loc"])), said)))) from None
    for wrong in _wrong(record):
        raise refusal(wrong)
    return record


def _wrong(record: MeasureRecord) -> Iterator[str]:
    """What no measurement has written."""
    for name, value in _numbers(asdict(record), ""):
        if not 0 <= value < math.inf:
            yield f"{name} = {value!r}"
    if unknown := [each for each in record.extra if each not in EXACT_LENGTH]:
        yield f"extra: {unknown[0]!r}"
    prompts = record.prompts
    if prompts is not None and not (
        {"kind"} <= set(prompts) <= {"kind", *PROMPT_LENGTHS}
        and prompts["kind"] in ("tokens", "text")
        and all(isinstance(prompts.get(name, 1.0), (int, float)) for name in PROMPT_LENGTHS)
        and prompts.get("tokens_per_word", 1.0) > 0
    ):
        yield f"prompts = {prompts!r}"
    names = {each.name for each in record.types}
    for index, point in enumerate(record.points):
        if point.type_name not in names:
            yield f"points.{index}.type_name = {point.type_name!r}, and no type has that name"
        if (point.concurrency is None) == (point.load is None) or point.concurrency == 0:
            yield f"points.{index}: concurrency = {point.concurrency!r} and load = {point.load!r}"
        for name in ("completed", "window_s", "input_tokens", *(("rate_req_per_s",) if point.is_held else ())):
            if not getattr(point, name):
                yield f"points.{index}.{name} = 0"


def _numbers(value: object, name: str) -> Iterator[tuple[str, float]]:
    """Every number of plain data, with where it stands."""
    if isinstance(value, (int, float)):
        yield name, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, f"{name}.{key}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from _numbers(each, f"{name}.{index}")


def require_same(record: MeasureRecord, asked: MeasureRecord, path: Path) -> None:
    """Raise InputError where what is asked now cannot be mixed with what `record` holds."""
    pairs: list[tuple[str, object, object]] = [("address", record.url, asked.url)]
    pairs += [
        (each.name, getattr(record.deployment, each.name), getattr(asked.deployment, each.name))
        for each in fields(Deployment)
    ]
    pairs += [
        (each.name, getattr(record.options, each.name), getattr(asked.options, each.name))
        for each in fields(MeasureOptions)
        if each.name not in BEARABLE
    ]
    pairs += _facts(record.facts, asked.facts)
    known = {each.name: _lengths(each) for each in record.types}
    pairs += [(each.name, known.get(each.name, _lengths(each)), _lengths(each)) for each in asked.types]
    for name, then, now in pairs:
        if then != now:
            raise InputError(
                f"{path}: was measured with {name} = {_shown(then)}, and now it is {_shown(now)}",
                expected="the same question to the same engine",
                remedy=ANEW,
            )


def _facts(then: ServerFacts, now: ServerFacts) -> list[tuple[str, object, object]]:
    found: list[tuple[str, object, object]] = [
        (name, getattr(then, name), getattr(now, name)) for name in ("served_name", "engine", "version", "max_context")
    ]
    names = sorted({*then.steady_settings, *now.steady_settings})
    return found + [
        (f"the engine's {name}", then.steady_settings.get(name), now.steady_settings.get(name)) for name in names
    ]


def _lengths(workload: WorkloadType) -> tuple[float, float]:
    return workload.input_tokens, workload.output_tokens


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{value!r}"


def merged_types(first: Sequence[WorkloadType], more: Sequence[WorkloadType]) -> tuple[WorkloadType, ...]:
    """Types of `first`, and those of `more` that it does not have."""
    names = {each.name for each in first}
    return (*first, *(each for each in more if each.name not in names))
