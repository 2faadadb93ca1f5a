"""Rates of a plan as load points, for formats of other tools."""

from collections.abc import Iterator
from pathlib import Path

from cuvee.files import read_text
from cuvee.plan.outcome.result import Group, Plan
from cuvee.profile.imports.load_point import LoadPoint
from cuvee.profile.imports.own_files import Rate, is_even, points_of_rates, stages_of
from cuvee.profile.phases import Phase
from cuvee.profile.table import NOT_STATED, RateSource

LARGEST_MB = 200.0
PLAN = "plan"
ONE_PHASE = "of replicas that prefill or decode alone"


def is_plan_file(path: Path | str) -> bool:
    """Whether a file looks like that of a plan: JSON that names groups and their assignment."""
    text = read_text(path, max_mb=LARGEST_MB)
    return text.lstrip().startswith("{") and '"assignment"' in text and '"groups"' in text


def points_of_plan(plan: Plan, name: str) -> tuple[LoadPoint, ...]:
    """Load points of every rate that the plan states of a group.

    Parameters
        name     Of the plan's file.
    Raises       InputError: none that a load point can stand for.
    """
    return points_of_rates([rate for group in plan.groups for rate in _rates(plan, group, name)], PLAN)


def _rates(plan: Plan, group: Group, name: str) -> Iterator[Rate]:
    lengths = {
        row.workload: (row.input_tokens, row.output_tokens) for row in plan.assignment if row.model == group.model
    }
    for cell in group.cells:
        source = plan.inputs.source_of(cell) or RateSource(cell.provenance, plan.inputs.engine.name, NOT_STATED)
        yield Rate(
            place=f"{name}: {group.id} {cell.workload}",
            name=f"{group.id} {cell.workload}",
            model=group.model,
            stages=stages_of(group.config),
            is_even=is_even(group.config),
            weights=group.precision,
            kv=group.kv_precision,
            engine=plan.inputs.engine.name,
            input_tokens=lengths[cell.workload][0],
            output_tokens=lengths[cell.workload][1],
            rate_req_per_s=cell.rate_req_per_s,
            tpot_s=cell.tpot_s or 0.0,
            relative_error=cell.relative_error,
            source=source,
            note=_changed(plan, group),
            left_out=ONE_PHASE if group.phase is not Phase.BOTH else "",
        )


def _changed(plan: Plan, group: Group) -> str:
    """What the plan made of the rates that its sources gave."""
    problem = plan.inputs.problem
    pessimism, availability = problem.caution.pessimism, problem.risk.spot_availability
    parts = (
        f"lowered by {pessimism:.0%} of the error band" if pessimism else "",
        "within the plan's latency limits" if any(cell.under_load for cell in group.cells) else "",
        f"times {availability:.1%} for spot" if availability < 1 and any(part.spot for part in group.rented) else "",
    )
    return "; ".join(filter(None, parts))
