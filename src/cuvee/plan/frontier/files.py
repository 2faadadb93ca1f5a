"""Frontier files: a curve with its plans as versioned JSON, and back; its rows as CSV."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cuvee.catalog.tables import csv_text
from cuvee.plan.frontier.frontier import SCHEMA_VERSION, Frontier, FrontierPoint, Swept
from cuvee.plan.outcome.files import adapter_of, read_json, record_of, versioned_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LARGEST_MB = 1000.0

FIELD = "swept"
"""By which a frontier file is told from others."""


@cache
def _adapter() -> "TypeAdapter[Frontier]":
    return adapter_of(Frontier)


def frontier_to_json(frontier: Frontier) -> str:
    """The frontier file: JSON with the fields of `Frontier`, schema_version first; each point holds a whole plan."""
    return versioned_json(_adapter().dump_python(frontier, mode="json"), indent=1)


def frontier_schema() -> dict[str, Any]:
    """JSON Schema of the frontier file."""
    return _adapter().json_schema()


def load_frontier(path: Path | str) -> Frontier:
    """Read a frontier file.

    Raises          InputError: not a frontier file, or of a schema this version does not know.
    """
    return frontier_of(read_json(path, kind="frontier", max_mb=LARGEST_MB), path)


def frontier_of(record: Any, path: Path | str) -> Frontier:  # noqa: ANN401 any JSON value
    """The frontier that the JSON of the file at `path` holds; raises as `load_frontier` does."""
    return record_of(record, path, _adapter(), kind="frontier", version=SCHEMA_VERSION, field=FIELD)


def frontier_to_csv(frontier: Frontier) -> str:
    """One row per point: what was asked, money, rate, bound, what is open, and the GPUs of the fleet."""
    columns = (
        "budget_usd_per_hour" if frontier.swept is Swept.BUDGET else "asked_req_per_s",
        "cost_usd_per_hour",
        "rate_req_per_s",
        "req_per_s_per_usd_per_hour",
        "termination",
        "bound",
        "gap",
        "open_share",
        "gpus",
    )
    return csv_text(columns, map(_row, frontier.points))


def _row(point: FrontierPoint) -> list[str]:
    """Cells of one point; empty where there is no plan, or no proof."""
    plan = point.plan
    found = ["", "", ""]
    if plan.has_plan:
        money, rate = plan.cost_usd_per_hour, plan.rate_req_per_s
        found = [f"{money:.6g}", f"{rate:.6g}", f"{rate / money:.6g}"]
    proof = ["" if value is None else f"{value:.6g}" for value in (plan.bound, plan.gap)]
    gpus = " + ".join(f"{count}x {gpu}" for gpu, count in plan.gpu_counts.items())
    return [f"{point.asked:.6g}", *found, plan.termination.value, *proof, f"{point.open_share:.6g}", gpus]
