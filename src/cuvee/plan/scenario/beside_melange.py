"""What of a scenario means something beside files of Mélange or AIBrix, which hold GPUs, prices and rates."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

WITH_MELANGE = {
    "schema_version", "melange", "mix", "trace", "trace_columns", "types", "input_edges", "output_edges",
    "rate_req_per_s", "budget_usd_per_hour", "objective", "limits", "search", "caution", "time_of_day", "aim",
}  # fmt: skip
"""Fields of a scenario that mean something beside them."""

IN_PART = ("aim", "risk", "moves")
"""Fields of which a part does, or what is named is a part."""

OPTIONS = {
    "models": "--model, --precision",
    "offers": "--offers",
    "spot": "--spot",
    "engine": "--engine",
    "throughput_table": "--throughput",
    "slo": "--slo",
    "disaggregate": "--disaggregate",
    "current_fleet": "--from",
    "moves.horizon_h": "--horizon",
    "moves.overlap_usd_per_hour": "--overlap",
    "risk.max_share": "--max-share",
    "risk.keep_after_loss": "--keep",
    "aim.serve": "--serve",
}
"""The options that set a field, where there are some."""


def idle_fields(scenario: "BaseModel") -> set[str]:
    """Fields of a scenario that are given and mean nothing, those of a part as "aim.serve"."""
    idle = scenario.model_fields_set - WITH_MELANGE - set(IN_PART)
    for name in IN_PART:
        mine = getattr(scenario, name)
        default = type(mine)()
        changed = {each for each in mine.model_fields_set if getattr(mine, each) != getattr(default, each)}
        idle |= {f"{name}.{each}" for each in changed} - {"aim.headroom"}
    return idle


def named(fields: Iterable[str]) -> str:
    """Fields with the options that set them: "aim.serve (--serve) and models (--model, --precision)"."""
    return " and ".join(f"{field} ({OPTIONS[field]})" if field in OPTIONS else field for field in sorted(fields))
