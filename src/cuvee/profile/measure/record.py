"""The record of a measurement: all that was asked, sent and seen, written after every point, read to go on."""

import json
from collections.abc import Sequence
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
from cuvee.profile.measure.server_facts import ServerFacts
from cuvee.workload.records import WorkloadType

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 1
MAX_FILE_MB = 64.0
BEARABLE = ("max_concurrency", "timeout_s", "most_failed", "loads")
"""Options that may differ when a measurement goes on: they change no figure that is there."""

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
    """Read a record; raises InputError where the file is none, or of another schema."""
    from pydantic import ValidationError

    expected = f"a record of cuvee profile of schema_version {SCHEMA_VERSION}"
    remedy = "give another --save, or begin anew with --force"
    try:
        content = json.loads(read_text(path, max_mb=MAX_FILE_MB))
        version = content.pop("schema_version", None) if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise InputError(f"{path}: schema_version {version!r}", expected=expected, remedy=remedy)
        return _adapter().validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}", expected=expected, remedy=remedy) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({reason_of(error)})", expected=expected, remedy=remedy) from None


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
