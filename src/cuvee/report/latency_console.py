"""The printed latency: each workload type against its limits at the planned load, and the pairs left out."""

import math
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.text import Text

from cuvee.plan.candidates.exclusions import ExcludedKind, ExcludedPair, Exclusions
from cuvee.plan.outcome.latency_reading import crowding, worst_latencies
from cuvee.plan.outcome.result import Plan
from cuvee.report.style import fitted, heat_cell, indented, literal, narrow, new_table
from cuvee.workload.latency_limits import LABELS, time_text

MOST_ROWS = 12
"""Workload types the table shows [-], those nearest to a limit; as many as columns of the table of pairs left out."""

MOST_NOTES = 3
"""Groups whose mixtures of types are named [-]."""


def latency_parts(plan: Plan, console: Console) -> Iterator[RenderableType]:
    """Nothing without limits; else the table of latencies and the pairs left out."""
    rows = sorted(worst_latencies(plan), key=lambda row: -row.share)
    if rows:
        names = {row.limits.statistic for row in rows}
        several_models = len(plan.inputs.problem.models) > 1
        several = len(names) > 1
        cells = [cell for group in plan.groups for cell in group.cells if cell.under_load is not None]
        kinds = sorted({str(cell.provenance) for cell in cells})
        what = ", ".join([*([] if several else names), *kinds])
        table = new_table(console, title=f"Latency under load, of the limit ({what})")
        table.add_column("workload")
        for header in (*(["statistic"] if several else []), *LABELS.values(), "nearest"):
            table.add_column(header, justify="right")
        for row in rows[:MOST_ROWS]:
            times = (_against(row.times_s[label], row.limits.as_dict().get(label)) for label in LABELS)
            name = f"{row.model} {row.workload}" if several_models else row.workload
            table.add_row(name, *([row.limits.statistic] if several else []), *times, f"{row.share:.0%}")
        yield fitted(table, console, fold=("workload",))
        if len(rows) > MOST_ROWS:
            yield indented(f"{len(rows) - MOST_ROWS} workload types further from their limits are not shown")
    crowded = list(_crowding_lines(plan))
    for line in crowded:
        yield indented(literal(line), style="yellow")
    if crowded:
        yield Text("")
    if plan.excluded is not None:
        if plan.excluded.kinds:
            yield _exclusion_table(plan, plan.excluded, console)
        yield indented(_exclusion_line(plan.excluded), style="dim")
        yield Text("")


def _against(value_s: float, limit_s: float | None) -> str:
    """A latency, and the limit where there is one."""
    return time_text(value_s) if limit_s is None else f"{time_text(value_s)} of {time_text(limit_s)}"


def _crowding_lines(plan: Plan) -> Iterator[str]:
    """Where replicas that several types share may be busier than the limits of one of them allow."""
    found = crowding(plan)
    for each in found[:MOST_NOTES]:
        yield (
            f"{each.group} is loaded to {each.busy_share:.0%} by all it serves; {each.workload} alone keeps its limits "
            f"up to {each.own_share:.0%}: beside the others it may miss them"
        )
    if len(found) > MOST_NOTES:
        yield f"the same holds for {len(found) - MOST_NOTES} more of group and workload"


def _exclusion_table(plan: Plan, excluded: Exclusions, console: Console) -> RenderableType:
    """GPU type by workload type: share of the replicas left out, and by how much the nearest misses."""
    several = len(plan.inputs.problem.models) > 1
    types = [(row.model, row.workload) for row in plan.assignment]
    table = new_table(console, title="Left out: replicas that miss a limit even when idle [% of those that fit]")
    for header in (*(["model"] if several else []), "GPU type"):
        table.add_column(header)
    columns = types if len(types) <= MOST_ROWS and not narrow(console) else []
    for header in (*(f"w{number}" for number in range(1, len(columns) + 1)), "nearest misses"):
        table.add_column(header, justify="right")
    rows: dict[tuple[str, str], list[ExcludedKind]] = {}
    for kind in excluded.kinds:
        rows.setdefault((kind.model, kind.gpu), []).append(kind)
    for (model, gpu), kinds in rows.items():
        of_type = {(kind.model, kind.workload): kind.share for kind in kinds}
        nearest = min(kinds, key=lambda kind: kind.nearest.excess).nearest
        table.add_row(
            *([model] if several else []),
            gpu or "several types",
            *(heat_cell(of_type.get(each, 0.0), console) for each in columns),
            f"{LABELS[nearest.limit]} by {_percent_above(nearest)}",
        )
    return fitted(table, console, fold=("model", "GPU type"))


def _percent_above(pair: ExcludedPair) -> str:
    excess = pair.excess
    return "an unknown time" if math.isinf(excess) else "<1%" if excess < 0.005 else f"{excess:.0%}"


def _exclusion_line(excluded: Exclusions) -> str:
    if not excluded.num_pairs:
        return f"every one of {excluded.num_fitting:,} pairs of replica and workload is within the limits when idle"
    listed = "all of them" if len(excluded.pairs) == excluded.num_pairs else f"the nearest {len(excluded.pairs):,}"
    return (
        f"{excluded.num_pairs:,} of {excluded.num_fitting:,} pairs of replica and workload are left out; "
        f"the JSON of the plan lists {listed}"
    )
