"""The printed explanation: limits, what more of each brings, and why one GPU type alone loses."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.plan.explain.explain import Explanation
from cuvee.plan.outcome.result import Plan
from cuvee.report.style import dated, fitted, indented, literal, new_table

MOST_TYPES = 12
FIRST = "1,000 requests of"


def print_explanation(plan: Plan, explanation: Explanation, console: Console) -> None:
    """Print what binds, what a little more brings, and where the best single type pays more."""
    offers = plan.inputs.problem.offers
    console.print(Text(literal(plan.summary()), style="bold"))
    console.print(Text(literal(f"{offers.name}, {dated(offers.as_of)}"), style="dim"))
    if explanation.limits:
        _print_limits(explanation, console)
    else:
        console.print(Text("No limits: as many of each GPU as wanted can be rented, at any cost."))
    _print_single(plan, explanation, console)


def _print_limits(explanation: Explanation, console: Console) -> None:
    """What is used of each limit, and what a little more of it brings."""
    limits = new_table(console, title="Limits")
    limits.add_column("limit")
    for column in ("used", "of", ""):
        limits.add_column(column, justify="right")
    for each in explanation.limits:
        digits = ".2f" if each.unit == "$/h" else ".0f"
        state = (
            Text("binds", style="bold yellow")
            if each.binding
            else Text(f"{max(each.limit - each.used, 0.0):{digits}} left", style="dim")
        )
        limits.add_row(each.name, f"{each.used:{digits}}", f"{each.limit:{digits}} {each.unit}", state)
    console.print(fitted(limits, console, fold=("limit",)))
    console.print(indented("binds: one more unit of it alone makes a better plan, see below", style="dim"))
    gains = new_table(console, title="What more brings, solved again")
    gains.add_column("change")
    gains.add_column("brings", justify="right")
    for gain in explanation.gains:
        sign = "-" if gain.unit == "$/h" else "+"
        gains.add_row(
            gain.change, f"{sign}{gain.gain:.3f} {gain.unit}" if gain.gain > 0 else Text("nothing", style="dim")
        )
    console.print(fitted(gains, console, fold=("change",)))


def _print_single(plan: Plan, explanation: Explanation, console: Console) -> None:
    best = explanation.best_single
    if best is None:
        console.print(Text("no single GPU type in stock serves this demand within the limits"))
        return
    reached = f"{best.plan.rate_req_per_s:.2f} req/s for {best.plan.cost_usd_per_hour:.2f} $/h"
    table = new_table(console, title=f"Why not {best.name}: {reached}")
    table.add_column(FIRST)
    for column in ("plan $", f"{best.name} $", "saved"):
        table.add_column(column, justify="right")
    several = len(plan.inputs.problem.models) > 1
    for cost in explanation.type_costs[:MOST_TYPES]:
        name = f"{cost.model} {cost.workload}" if several else cost.workload
        saved = 1 - cost.plan_usd_per_1000 / cost.single_type_usd_per_1000
        table.add_row(name, f"{cost.plan_usd_per_1000:.3f}", f"{cost.single_type_usd_per_1000:.3f}", f"{saved:+.1%}")
    console.print(fitted(table, console, fold=(FIRST,)))
    left_out = not_compared(plan, len(explanation.type_costs))
    console.print(
        indented(
            f"{left_out}it rents {sum(best.plan.gpu_counts.values())} GPUs of the stock; the plan spends "
            f"{plan.cost_usd_per_hour - best.plan.cost_usd_per_hour:+.2f} $/h against it\n"
            "cost of a request: the time it takes of its replicas, at their price",
            style="dim",
        )
    )


def not_compared(plan: Plan, num_compared: int) -> str:
    """A line on the types that not both fleets serve; "" where there are none."""
    count = len(plan.assignment) - num_compared
    return f"{count} of {len(plan.assignment)} workload types are not compared: not both serve them\n" if count else ""


def explanation_record(explanation: Explanation) -> dict[str, Any]:
    """The same as plain data."""
    best = explanation.best_single
    return {
        "limits": [asdict(each) for each in explanation.limits],
        "gains": [asdict(each) for each in explanation.gains],
        "best_single_type": None
        if best is None
        else {
            "name": best.name,
            "rate_req_per_s": best.plan.rate_req_per_s,
            "cost_usd_per_hour": best.plan.cost_usd_per_hour,
        },
        "type_costs": [asdict(each) for each in explanation.type_costs],
    }
