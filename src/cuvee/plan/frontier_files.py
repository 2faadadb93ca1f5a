"""Frontier files: a curve with its plans as versioned JSON, and back; its rows as CSV."""

import csv
import io
import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cuvee.errors import InputError
from cuvee.files import open_text, read_text
from cuvee.plan.files import without_infinity
from cuvee.plan.frontier import SCHEMA_VERSION, Frontier, Swept

if TYPE_CHECKING:
    from pydantic import TypeAdapter

WRITE_ONE = "write one with this version: cuvee frontier --json"
LARGEST_MB = 1000.0


@cache
def _adapter() -> "TypeAdapter[Frontier]":
    from pydantic import TypeAdapter  # 0.1 s to import: only those who read or write files pay

    return TypeAdapter(Frontier)


def frontier_to_json(frontier: Frontier) -> str:
    """The frontier file: JSON with the fields of `Frontier`, schema_version first; each point holds a whole plan."""
    record = without_infinity(_adapter().dump_python(frontier, mode="json"))
    first = ("schema_version", "cuvee_version")
    return json.dumps({**{name: record[name] for name in first}, **record}, indent=1, allow_nan=False) + "\n"


def frontier_schema() -> dict[str, Any]:
    """JSON Schema of the frontier file."""
    return _adapter().json_schema()


def load_frontier(path: Path | str) -> Frontier:
    """Read a frontier file.

    Raises          InputError: not a frontier file, or of a schema this version does not know.
    """
    from pydantic import ValidationError

    text = read_text(path, max_mb=LARGEST_MB)
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: broken JSON, or a number of over 4300 digits
        raise InputError(f"{path}: {error}", expected="a frontier file in JSON", remedy=WRITE_ONE) from error
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != SCHEMA_VERSION or "swept" not in record:
        raise InputError(
            f"{path}: schema_version {version!r}" if version != SCHEMA_VERSION else f"{path}: nothing is swept in it",
            expected=f"a frontier file of schema_version {SCHEMA_VERSION}",
            remedy=WRITE_ONE,
        )
    try:
        return _adapter().validate_python(record)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise InputError(
            f"{path}: {where}: {error.errors()[0]['msg']}",
            expected="a frontier file as `cuvee frontier --json` writes it",
            remedy="compare it with: cuvee schema frontier",
        ) from error


def is_frontier_file(path: Path | str) -> bool:
    """Whether a file begins like a frontier; a pipe, which can be read once only, is taken for a plan."""
    if not os.path.isfile(path):  # noqa: PTH113 a path that is none is no error here
        return False
    with open_text(path) as stream:
        return '"swept"' in stream.read(1000)


def frontier_to_csv(frontier: Frontier) -> str:
    """One row per point: what was asked, money, rate, bound, what is open, and the GPUs of the fleet."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        [
            "budget_usd_per_hour" if frontier.swept is Swept.BUDGET else "asked_req_per_s",
            "cost_usd_per_hour",
            "rate_req_per_s",
            "req_per_s_per_usd_per_hour",
            "termination",
            "bound",
            "gap",
            "open_share",
            "gpus",
        ]
    )
    for point in frontier.points:
        plan = point.plan
        found: list[object] = ["", "", ""]
        if plan.has_plan:
            money, rate = plan.cost_usd_per_hour, plan.rate_req_per_s
            found = [f"{money:.6g}", f"{rate:.6g}", f"{rate / money:.6g}"]
        proof = ["" if value is None else f"{value:.6g}" for value in (plan.bound, plan.gap)]
        gpus = " + ".join(f"{count}x {gpu}" for gpu, count in plan.gpu_counts.items())
        rows.writerow([f"{point.asked:.6g}", *found, plan.termination.value, *proof, f"{point.open_share:.6g}", gpus])
    return text.getvalue()
