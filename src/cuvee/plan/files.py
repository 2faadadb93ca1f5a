"""Plan files: a plan as versioned JSON, and back."""

import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cuvee.errors import InputError
from cuvee.files import read_text
from cuvee.plan.result import SCHEMA_VERSION, Plan

if TYPE_CHECKING:
    from pydantic import TypeAdapter

WRITE_ONE = "write one with this version: cuvee plan --json"


@cache
def _adapter() -> "TypeAdapter[Plan]":
    from pydantic import TypeAdapter  # 0.1 s to import: only those who read or write files pay

    return TypeAdapter(Plan)


def plan_to_json(plan: Plan) -> str:
    """The plan file: JSON with the fields of `Plan`, schema_version first."""
    record = without_infinity(_adapter().dump_python(plan, mode="json"))
    first = ("schema_version", "cuvee_version")
    return json.dumps({**{name: record[name] for name in first}, **record}, indent=2, allow_nan=False) + "\n"


def plan_schema() -> dict[str, Any]:
    """JSON Schema of the plan file."""
    return _adapter().json_schema()


def load_plan(path: Path | str) -> Plan:
    """Read a plan file.

    Raises          InputError: not a plan file, or of a schema this version does not know.
    """
    from pydantic import ValidationError

    text = read_text(Path(path), max_mb=100.0)
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: broken JSON, or a number of over 4300 digits
        raise InputError(
            f"{path}: {error}", expected="a plan file in JSON", remedy="write one: cuvee plan --json"
        ) from error
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema_version {version!r}",
            expected=f"a plan file of schema_version {SCHEMA_VERSION}",
            remedy=WRITE_ONE,
        )
    try:
        return _adapter().validate_python(record)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise InputError(
            f"{path}: {where}: {error.errors()[0]['msg']}",
            expected="a plan file as `cuvee plan --json` writes it",
            remedy="compare it with: cuvee schema plan",
        ) from error
    except InputError as error:
        raise InputError(f"{path}: {error.arrived}", expected=error.expected, remedy=error.remedy) from error


def without_infinity(value: Any) -> Any:  # noqa: ANN401 any JSON value
    """`value` for JSON, which has no infinity: written as the text "inf", which reads back as a number."""
    if isinstance(value, dict):
        return {key: without_infinity(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_infinity(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
