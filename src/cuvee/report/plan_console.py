"""The printed plan: decision table, assignment, verdict, proof and legend, within 100 columns."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cuvee.plan.explain.baselines import Baseline
from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.result import OUTPUT_TO_INPUT_PRICE, Group, Plan
from cuvee.plan.question.problem import Objective
from cuvee.plan.solver.program import StopReason, Termination
from cuvee.profile.pessimism import lowering
from cuvee.profile.replica import ReplicaConfig
from cuvee.report.aim_console import aim_lines
from cuvee.report.latency_console import latency_parts
from cuvee.report.machines_console import machine_lines, machines_legend
from cuvee.report.moves_console import moves_legend, moves_parts
from cuvee.report.phases_console import legend_of_phases, what_phases_bring
from cuvee.report.risk_console import risk_lines
from cuvee.report.sources_console import price_line, rate_lines
from cuvee.report.stress_console import stress_table, what_was_drawn
from cuvee.report.style import (
    COMFORTABLE,
    column_gap,
    dated,
    fitted,
    heat_cell,
    indented,
    literal,
    narrow,
    new_table,
    rate,
    rule,
    share_glyph,
    tick,
)

MOST_GLYPHS = 12
"""Workload types that fit the decision table as one glyph each; above, only the heat table shows them."""

MOST_TYPES = 100
"""Workload types that the heat table lists."""

GROUP_WIDTH = 4
"""Columns of a share in the heat table."""

LONGEST_NAME = 30
"""Columns of the longest workload name in the heat table; a longer one is folded."""

COARSE_GAP = 1e-3
"""Gap from which it is shown in percent [-]."""

AS_GOOD = 0.9995
"""Worth from which a rejected replica is as good as the chosen ones to the digits shown [-]."""


def print_plan(plan: Plan, baselines: Sequence[Baseline], console: Console) -> None:
    """Print `plan` against single-type `baselines`, in the order a reader decides: what, where, how good, how sure."""
    console.print(_heading(plan, console))
    if not plan.has_plan:
        console.print(Text(f"\n{plan.termination}: {literal(plan.message)}", style="bold red"))
        return
    console.print(_decision_table(plan, console))
    for line in _where_to_rent(plan):
        console.print(indented(literal(line)))
    for line in (*machine_lines(plan, console), *aim_lines(plan), *risk_lines(plan)):
        console.print(indented(line))
    for table in _heat_tables(plan, console):
        console.print(table)
    for part in latency_parts(plan, console):
        console.print(part)
    panel = [stress_table(plan, plan.stress, console)] if plan.stress else []
    moves = moves_parts(plan, plan.moves, console) if plan.moves else ()
    for part in (*_verdict(plan, baselines, console), _proof(plan), *moves, *panel, *_legend(plan)):
        console.print(part)


def _heading(plan: Plan, console: Console) -> RenderableType:
    problem = plan.inputs.problem
    parts = [
        "cuvee plan",
        " + ".join(entry.model.name for entry in problem.models),
        ", ".join(dict.fromkeys(entry.demand.name for entry in problem.models)),
        f"{problem.offers.name} ({dated(problem.offers.as_of)})",
        plan.inputs.engine.name,
    ]
    return Text(literal(rule(console).join(parts)), style="bold")


def _decision_table(plan: Plan, console: Console) -> RenderableType:
    """A row per replica group, ticked; the rejected runner-ups under a rule."""
    table = new_table(console)
    several = len(plan.inputs.problem.models) > 1
    for header in ("", "id", *(["model"] if several else []), "replica", "deployment"):
        table.add_column(header)
    for header in ("copies", "req/s", "$/h", "busy"):
        table.add_column(header, justify="right")
    glyphs = len(plan.assignment) <= MOST_GLYPHS and not narrow(console)
    table.add_column("takes" if glyphs else "")
    for group in plan.groups:
        row: list[RenderableType] = [
            Text(tick(console), style="bold green"),
            group.id,
            *([group.model] if several else []),
            group.config.gpu_label + _spot(group),
            Text(plan.deployed(group)),
            str(group.copies),
            rate(group.rate_req_per_s),
            f"{group.cost_usd_per_hour:.2f}",
            f"{group.utilization:.0%}",
        ]
        taken = "".join(share_glyph(each.share_of(group), console) for each in plan.assignment)
        table.add_row(*row, taken if glyphs else "")
    table.add_section()
    _add_idle(table, plan, ["", ""] if several else [""])
    _add_runners_up(table, plan, several)
    return fitted(table, console, fold=("model", "replica", "deployment"), drop=("busy",))


def _where_to_rent(plan: Plan) -> Iterator[str]:
    """Offers of each group with the date of their price, where offers differ in more than the GPU."""
    offers = plan.inputs.problem.offers.offers
    if len({(offer.seller, offer.region) for offer in offers}) == 1:
        return
    for group in plan.groups:
        parts = [
            f"{group.copies * part.num_gpus} GPUs of {part.label} ({dated(offers[part.offer].as_of)})"
            for part in group.rented
        ]
        yield f"{group.id} rents {' and '.join(parts)}"


def _spot(group: Group) -> str:
    return " spot" if any(part.spot for part in group.rented) else ""


def _add_idle(table: Table, plan: Plan, before: list[str]) -> None:
    for machine in plan.machines:
        if machine.idle_gpus:
            label = f"{machine.idle_gpus} idle of {machine.units} x {machine.label}"
            cost = f"{machine.idle_cost_usd_per_hour:.2f}"
            table.add_row("", *before, Text(literal(label), style="yellow"), "", "", "", cost)


def _add_runners_up(table: Table, plan: Plan, several_models: bool) -> None:
    for other in plan.runners_up:
        config = ReplicaConfig(other.model, other.stages, other.precision)
        row = ["", "", *([other.model] if several_models else []), config.gpu_label, plan.deployment_of(config), "", ""]
        worth = "as good" if other.worth >= AS_GOOD else f"{other.worth:.1%}"
        table.add_row(
            *(Text(literal(cell), style="dim") for cell in (*row, f"{other.price_usd_per_hour:.2f}", "", worth))
        )


def _heat_tables(plan: Plan, console: Console) -> Iterator[RenderableType]:
    """Workload x group, percent of each type's requests; in parts where there are many groups."""
    several = len(plan.inputs.problem.models) > 1
    names = [f"{row.model} {row.workload}" if several else row.workload for row in plan.assignment]
    lengths = ("prompt", "answer") if plan.lengths_known and not narrow(console) else ()
    shown = list(zip(names, plan.assignment, strict=True))[:MOST_TYPES]
    longest = min(max(cell_len(name) for name in names), LONGEST_NAME if lengths else COMFORTABLE)
    taken = [len(f"w{len(names)}"), longest, *(len(header) for header in (*lengths, "demand"))]
    room = console.width - 1 - sum(width + column_gap(console) for width in taken)
    size = max(1, room // (GROUP_WIDTH + column_gap(console)))
    for start in range(0, len(plan.groups), size):
        part = plan.groups[start : start + size]
        more = f", {part[0].id} to {part[-1].id}" if len(plan.groups) > size else ""
        table = new_table(console, title=f"Requests of each workload type by group [%]{more}")
        for header in ("", "workload"):
            table.add_column(header)
        for header in (*lengths, "demand", *(group.id for group in part)):
            table.add_column(header, justify="right")
        total = sum(row.demand_req_per_s for row in plan.assignment)
        for number, (name, row) in enumerate(shown, start=1):
            tokens = (f"{row.input_tokens:,.0f}", f"{row.output_tokens:,.0f}") if lengths else ()
            cells = [heat_cell(row.share_of(group), console) for group in part]
            table.add_row(f"w{number}", name, *tokens, f"{row.demand_req_per_s / total:.1%}", *cells)
        yield fitted(table, console, fold=("workload",))
    if len(shown) < len(names):
        yield indented(f"and {len(names) - len(shown):,} more types, which --json and --save-dir list", style="dim")


def _verdict(plan: Plan, baselines: Sequence[Baseline], console: Console) -> Iterator[RenderableType]:
    """One line of what the plan is worth, one for a single-type fleet that would win if stock were no matter."""
    budget = plan.inputs.problem.limits.budget_usd_per_hour
    money = f"{plan.cost_usd_per_hour:.2f} $/h" + (f" of {budget:.2f}" if budget is not None else "")
    parts = [f"{plan.rate_req_per_s:.2f} req/s", money]
    if plan.lengths_known:
        price_input, price_output, blended = plan.usd_per_million_tokens()
        parts.append(f"${price_input:.3f} / {price_output:.3f} / {blended:.3f} per 1M tokens (in / out / blended)")
    line = rule(console).join(parts)
    yield Text(f"{tick(console)} {line}", style="bold green")
    if plan.disaggregation is not None:
        yield indented(what_phases_bring(plan, plan.disaggregation))
    kept = [group.id for group in plan.groups if group.keeps_to]
    if kept:
        own = "its" if len(kept) == 1 else "their"
        keeps = f"{', '.join(kept)} {'keeps' if len(kept) == 1 else 'keep'} to short answers"
        yield indented(f"{keeps}: prompts among long answers would hold up {own} pipeline{'s' * (len(kept) > 1)}")
    if all(entry.demand.rate_req_per_s is not None for entry in plan.inputs.problem.models):
        arrives = f"the demand arrives at {rate(sum(row.demand_req_per_s for row in plan.assignment))} req/s: "
        together = f"{1 / plan.load_factor:.0%} of what the fleet sustains"
        apart = f"{plan.load_factor:.0%} of it is served"
        yield indented(arrives + (apart if plan.inputs.problem.ends_at_the_demand else together))
    if plan.worst_draw_req_per_s is not None:
        draws = plan.inputs.problem.caution.robust_draws
        said = f"in the worst of {draws} draws it sustains {plan.worst_draw_req_per_s:.2f} req/s{_judged(plan)}"
        if plan.misses_draws:
            said = f"not yet robust, a plan by the estimates: {said}, less than the demand"
        yield indented(said, style="yellow" if plan.misses_draws else "")
    within = best_of([each for each in baselines if each.same_stock and each.plan.has_plan])
    if within is not None:
        yield indented(_against(plan, within))
    elif baselines:
        yield indented("no single GPU type in stock serves this demand within the limits")
    beyond = best_of([each for each in baselines if not each.same_stock and each.plan.has_plan])
    if beyond is not None:
        wins = _advantage(plan, beyond.plan) < -plan.inputs.problem.search.relative_gap
        text = f"{'a fleet of one type would win if it were in stock: ' if wins else ''}{_against(plan, beyond)}"
        yield indented(text, style="yellow" if wins else "")


def _judged(plan: Plan) -> str:
    """That the lines below compare worst draws."""
    return ", by which it is compared here" if plan.objective_name is Objective.THROUGHPUT else ""


def best_of(baselines: Sequence[Baseline]) -> Baseline | None:
    """The baseline with the best objective; None of none."""
    sign = 1 if baselines and baselines[0].plan.objective_name is Objective.THROUGHPUT else -1
    return max(baselines, key=lambda each: sign * each.plan.objective, default=None)


def _advantage(plan: Plan, other: Plan) -> float:
    """By how much of the other's objective the plan is better [-]."""
    ratio = plan.objective / other.objective
    return ratio - 1 if plan.objective_name is Objective.THROUGHPUT else 1 - ratio


def _against(plan: Plan, baseline: Baseline) -> str:
    other = baseline.plan
    reached = (
        f"{other.objective:.2f} {plan.objective_unit}"
        if plan.objective_name is Objective.THROUGHPUT
        else f"{other.cost_usd_per_hour:.2f} $/h"
    )
    better = _advantage(plan, other)
    if abs(better) <= plan.inputs.problem.search.relative_gap:
        return f"no better than the best of one GPU type ({baseline.name}: {reached})"
    unit = "throughput" if plan.objective_name is Objective.THROUGHPUT else "cost"
    sign = "+" if (better >= 0) == (plan.objective_name is Objective.THROUGHPUT) else "-"
    return f"{sign}{abs(better):.1%} {unit} against the best of one GPU type ({baseline.name}: {reached})"


def _proof(plan: Plan) -> RenderableType:
    asked = plan.inputs.problem.search.relative_gap
    unit = plan.objective_unit
    if plan.inputs.problem.caution.robust_draws and plan.objective_name is Objective.THROUGHPUT:
        unit += " in its worst draw"
    bound = "gap not proven"
    if plan.bound is not None and plan.gap is not None:
        gap = f"{plan.gap:.1e}" if plan.gap < COARSE_GAP else f"{plan.gap:.1%}"
        bound = f"no plan beats {plan.bound:.4f} {unit} (gap {gap})"
    meaning = {
        Termination.OPTIMAL: f"optimal for these rates, proven to {asked:.0e}",
        Termination.FEASIBLE: f"feasible, {_stopped(plan)} before it was proven optimal"
        if not plan.misses_draws
        else f"feasible by the estimates, {_stopped(plan)} before there was a robust plan",
    }.get(plan.termination, plan.termination.value)
    return indented(
        f"{meaning}: {bound}\n{plan.num_candidates_generated:,} configurations, {plan.num_candidates:,} candidate "
        f"replicas on offers; solved in {plan.solve_seconds:.1f} s",
    )


def _stopped(plan: Plan) -> str:
    """What ended the search."""
    limit = plan.inputs.problem.search.time_limit_s
    return {
        StopReason.TIME_LIMIT: "stopped by the time limit" + (f" of {limit:g} s" if limit is not None else ""),
        StopReason.INTERRUPTED: "stopped by Ctrl-C",
        StopReason.NUMERICAL_TROUBLE: "stopped by numerical trouble in the solver",
        StopReason.OUT_OF_MEMORY: "stopped for want of memory",
        None: "ended",
    }[plan.stopped_by]


def _legend(plan: Plan) -> Iterator[RenderableType]:
    """The arithmetic, and how far the numbers can be trusted."""
    inputs, outputs = plan.tokens_per_request()
    cells = [cell for group in plan.groups for cell in group.cells]
    token_price = (
        f"$/1M tokens = $/h over req/s x ({inputs:.0f} prompt + {outputs:.0f} answer tokens), output:input priced "
        f"{OUTPUT_TO_INPUT_PRICE:.0f}:1"
    )
    lines = [
        "takes: share of w1, w2, ... as bars; busy = sum of (share x demand / rate alone) / copies",
        "[2x27,26]: layers of the pipeline stages where uneven; $/h = copies x GPUs x price",
        *([token_price] if plan.lengths_known else []),
        *rate_lines(plan),
        price_line(plan),
    ]
    lines.extend(machines_legend(plan))
    lines.extend(_lowered(plan, cells))
    lines.extend(what_was_drawn(plan))
    lines.extend(moves_legend(plan))
    if plan.excluded is not None:
        lines.append("with latency limits a rate is the highest load at which they hold, by an estimated latency curve")
    lines.extend(legend_of_phases(plan))
    if any(len(entry.precisions) > 1 for entry in plan.inputs.problem.models):
        lines.append("bf16, fp8, int4, ...: precision of the weights; that all answer well enough is for you to judge")
    if plan.runners_up:
        lines.append("without a tick: rejected; % = what it earns at the plan's marginal values over its price")
    lines.extend(plan.inputs.problem.offers.notes)
    lines.extend(note for entry in plan.inputs.problem.models for note in entry.demand.notes)
    yield Text("")
    for line in dict.fromkeys(lines):
        yield indented(literal(line), style="dim")


def _lowered(plan: Plan, cells: Sequence[Cell]) -> Iterator[str]:
    """How far pessimism lowered the rates, and how many of them by a stand-in."""
    pessimism = plan.inputs.problem.caution.pessimism
    if not pessimism:
        return
    # Under latency limits the band is that of a rate that was lowered before.
    unknown = 0 if plan.excluded is not None else sum(cell.relative_error is None for cell in cells)
    without = 1 - float(lowering(np.array(np.inf), pessimism, plan.inputs.engine))
    line = f"pessimism: each rate is lowered by {pessimism:.0%} of its error band"
    yield line + (f", {unknown} without a known band by {without:.0%}" if unknown else "")
