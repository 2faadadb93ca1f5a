"""The printed frontier: chart, table of its steps, what to read from them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.console import Console, RenderableType
from rich.text import Text

from cuvee.plan.frontier.frontier import Frontier, FrontierPoint, Swept, step_of
from cuvee.report.frontier_chart import chart_lines, marks
from cuvee.report.frontier_text import fleet_label, heading, sentences
from cuvee.report.sources_console import rate_lines_of_several
from cuvee.report.style import dated, fitted, indented, literal, new_table, rule

MOST_ROWS = 24
"""Rows of the table where nobody asked for a grid; the smallest steps are left out."""


def print_frontier(frontier: Frontier, console: Console) -> None:
    """Print the curve, its steps, and what they say."""
    if not frontier.has_plan:
        console.print(Text(f"infeasible: {literal(frontier.message)}", style="bold red"))
        return
    console.print(Text(literal(rule(console).join(["cuvee frontier", *heading(frontier)])), style="bold"))
    for line in chart_lines(frontier, console):
        console.print(line, no_wrap=True, overflow="crop")
    rows = _rows(frontier)
    console.print(_table(frontier, rows, console))
    for sentence in sentences(frontier):
        console.print(indented(literal(sentence)))
    console.print()
    for note in _legend(frontier, len(frontier.points) - len(rows), console):
        console.print(indented(literal(note), style="dim"))


def _rows(frontier: Frontier) -> list[int]:
    """Points that the table shows: all of a grid; else the largest steps, and all that the sentences speak of."""
    rows = list(range(len(frontier.points)))
    if frontier.grid:
        return rows
    kept = {rows[0], rows[-1], *(knee.point for knee in frontier.knees)}
    kept |= {point for buy in frontier.good_buys for point in (buy.point, buy.point + 1)}
    while len(rows) > MOST_ROWS:
        gains = {
            row: frontier.steps[row][1] / frontier.steps[before][1] for before, row in pairwise(rows) if row not in kept
        }
        rows.remove(min(gains, key=gains.__getitem__))
    return rows


def _table(frontier: Frontier, rows: Sequence[int], console: Console) -> RenderableType:
    table = new_table(console)
    table.add_column("")
    asked = "budget" if frontier.swept is Swept.BUDGET else "for req/s"
    for header in (*([asked] if frontier.grid else []), "$/h", "req/s", "req/s per $", "more $/h", "buys", "open"):
        table.add_column(header, justify="right")
    table.add_column("fleet")
    before: FrontierPoint | None = None
    for row in rows:
        point = frontier.points[row]
        cells = (
            [f"{point.asked:.2f}" if frontier.swept is Swept.BUDGET else f"{point.asked:#.3g}"] if frontier.grid else []
        )
        table.add_row(_mark(frontier, point, console), *cells, *_cells(frontier, point, before))
        before = point if point.plan.has_plan else None
    return fitted(table, console, fold=("fleet",), drop=("req/s per $", "open"))


def _cells(frontier: Frontier, point: FrontierPoint, before: FrontierPoint | None) -> list[str]:
    plan = point.plan
    if not plan.has_plan:
        return ["", "", "", "", "", "", "no fleet" if plan.bound is None else "none found"]
    money, served = step_of(plan, frontier.swept)
    more = ["", ""]
    if before is not None:
        less_money, less_served = step_of(before.plan, frontier.swept)
        if money > less_money:
            more = [f"+{money - less_money:.2f}", f"{served / less_served - 1:+.1%}"]
    open_share = "" if point.open_share < 0.0005 else f"{point.open_share:.1%}"
    return [f"{money:.2f}", f"{served:#.3g}", f"{served / money:.3f}", *more, open_share, fleet_label(plan)]


def _mark(frontier: Frontier, point: FrontierPoint, console: Console) -> Text:
    """Whether the row is a knee, or what a good buy leads to."""
    step = step_of(point.plan, frontier.swept)
    knee, good_buy = marks(console)
    if any(frontier.steps[each.point] == step for each in frontier.knees):
        return Text(knee, style="bold")
    bought = any(frontier.steps[each.point + 1] == step for each in frontier.good_buys)
    return Text(good_buy if bought else "", style="bold green")


def _legend(frontier: Frontier, left_out: int, console: Console) -> Iterator[str]:
    knee, good_buy = marks(console)
    problem = frontier.points[0].plan.inputs.problem
    reused = sum(not point.solved for point in frontier.points)
    yield (
        f"{knee} knee: after it a dollar buys less; {good_buy} good buy: the step to it brings more than its share of "
        "the money"
    )
    yield (
        "more $/h, buys: against the row before; open: what may still be found before the next step, more or cheaper "
        "by that share at most"
    )
    if left_out:
        yield f"the {left_out} smallest steps are left out; --json and --save-dir keep all {len(frontier.points)}"
    solved = f"{frontier.num_solved} problems solved in {frontier.seconds:.0f} s"
    kept = f", {reused} points answered by their neighbours" if reused else ""
    yield f"{solved}{kept}; each plan proven to a gap of {problem.search.relative_gap:.0e}"
    yield from rate_lines_of_several([point.plan for point in frontier.points])
    yield f"{problem.offers.name}, {dated(problem.offers.as_of)}"
    yield from problem.offers.notes
