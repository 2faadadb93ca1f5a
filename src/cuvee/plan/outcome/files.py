"""Plan files: a plan as versioned JSON, and back."""

import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cuvee.errors import InputError, reason_of
from cuvee.files import read_text
from cuvee.plan.outcome.result import SCHEMA_VERSION, Plan
from cuvee.plan.outcome.soundness import require_sound

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter() -> "TypeAdapter[Plan]":
    return adapter_of(Plan)


def adapter_of(record: type[T]) -> "TypeAdapter[T]":
    """What reads and writes files of one kind of record; a field that is not the record's is refused, wherever."""
    from pydantic import ConfigDict, TypeAdapter, with_config  # 0.1 s to import: only those who need files pay

    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(record))


def plan_to_json(plan: Plan) -> str:
    """The plan file: JSON with the fields of `Plan`, schema_version first."""
    return versioned_json(_adapter().dump_python(plan, mode="json"))


def plan_schema() -> dict[str, Any]:
    """JSON Schema of the plan file."""
    return _adapter().json_schema()


def load_plan(path: Path | str) -> Plan:
    """Read a plan file.

    Raises          InputError: not a plan file, of a schema this version does not know, or of what no plan can be.
    """
    return plan_of(read_json(path, kind="plan"), path)


def plan_of(record: Any, path: Path | str) -> Plan:  # noqa: ANN401 any JSON value
    """The plan that the JSON of the file at `path` holds; raises as `load_plan` does."""
    plan = record_of(record, path, _adapter(), kind="plan", version=SCHEMA_VERSION, field="groups")
    require_sound(plan, f"{path}: ")
    return plan


def read_json(path: Path | str, *, kind: str, max_mb: float = 100.0) -> Any:  # noqa: ANN401 any JSON value
    """JSON of a file of at most `max_mb` [MB], which should hold a `kind`: "plan", "frontier", ..."""
    text = read_text(Path(path), max_mb=max_mb)
    try:
        return json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:  # ValueError: broken JSON, or a number of over 4300 digits
        arrived = f"{path}: {reason_of(error)}"
        raise InputError(arrived, expected=f"a {kind} file in JSON", remedy=_write_one(kind)) from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return record


def record_of(
    record: Any,  # noqa: ANN401 any JSON value
    path: Path | str,
    adapter: "TypeAdapter[T]",
    *,
    kind: str,
    version: int,
    field: str,
) -> T:
    """A record from the JSON of the file at `path`.

    Parameters
        kind       "plan", "frontier", ...: what the file holds, and the command that writes it.
        version    Its schema_version.
        field      A field by which it is told from other files of the same version.
    Raises         InputError: not such a file, or of a schema this version does not know.
    """
    from pydantic import ValidationError

    arrived = record.get("schema_version") if isinstance(record, dict) else None
    if arrived != version or field not in record:
        raise InputError(
            f"{path}: schema_version {arrived!r}" if arrived != version else f"{path}: no field {field!r}",
            expected=f"a {kind} file of schema_version {version}",
            remedy=_write_one(kind),
        )
    try:
        return adapter.validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        unknown = first["type"] == "unexpected_keyword_argument"
        raise InputError(
            f"{path}: {where}: {'no such field' if unknown else first['msg']}",
            expected=f"a {kind} file as `cuvee {kind} --json` writes it",
            remedy=f"compare it with: cuvee schema {kind}",
        ) from error
    except InputError as error:
        raise InputError(f"{path}: {error.arrived}", expected=error.expected, remedy=error.remedy) from error


def _write_one(kind: str) -> str:
    return f"write one with this version: cuvee {kind} --json"


def versioned_json(record: dict[str, Any], *, indent: int = 2) -> str:
    """A record as JSON text, its versions first."""
    first = ("schema_version", "cuvee_version")
    whole = without_infinity({**{name: record[name] for name in first}, **record})
    return json.dumps(whole, indent=indent, allow_nan=False) + "\n"


def without_infinity(value: Any) -> Any:  # noqa: ANN401 any JSON value
    """`value` for JSON, which has no infinity: written as the text "inf", which reads back as a number."""
    if isinstance(value, dict):
        return {key: without_infinity(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_infinity(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
