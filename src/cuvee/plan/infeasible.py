"""Why there is no plan, and the smallest change that gives one."""

import re
from dataclasses import replace

import numpy as np

from cuvee.plan.candidates import CandidateSet
from cuvee.plan.formulation import Layout, build_program, gpu_prices
from cuvee.plan.problem import Objective, PlanProblem
from cuvee.plan.program import Program, Termination, solve

CHEAP_GAP = 1e-3
"""Gap of the helper programs [-]: their answer is rounded up for people."""


def explain_infeasible(problem: PlanProblem, candidates: CandidateSet) -> str:
    """The limits that bind and the least that must be added to them, money first, then GPUs and caps.

    Notes           An elastic program: slack is allowed on the budget alone, then on every limit but the budget,
                    then on all; the first that has an answer is the smallest change, since its slack is minimised.
    """
    unserved = _unserved_types(problem, candidates)
    if unserved:
        return (
            f"no replica within the limits serves {', '.join(unserved)}; more GPUs per offer or a larger budget could"
        )
    program, layout = build_program(problem, candidates)
    _demand_only(program, layout, candidates, problem)
    budget_rows = [row for row, name in enumerate(program.row_names) if name == "budget"]
    other_rows = [row for row, name in enumerate(program.row_names) if re.match("stock|max_", name)]
    for rows in (budget_rows, other_rows, budget_rows + other_rows):
        changes = _least_slack(program, rows, problem)
        if changes:
            needed = "; ".join(_describe(program.row_names[row], amount, problem) for row, amount in changes)
            return f"the limits bind: {needed}"
    return "no change of the limits alone gives a plan"


def _unserved_types(problem: PlanProblem, candidates: CandidateSet) -> list[str]:
    names = []
    for index, (entry, table) in enumerate(zip(problem.models, candidates.tables, strict=True)):
        if not (candidates.model_index == index).any():
            names.append(entry.model.name)
            continue
        unserved = np.flatnonzero(~table.fits.any(axis=0))
        names.extend(f"{entry.model.name} {entry.demand.types[column].name}" for column in unserved)
    return names


def _demand_only(program: Program, layout: Layout, candidates: CandidateSet, problem: PlanProblem) -> None:
    """Turn `program` into: any fleet that serves the demand (cost), or that can serve every type (throughput)."""
    program.maximize = False
    program.cost[:] = 0.0
    program.upper[: layout.num_candidates] = np.inf
    if problem.objective is Objective.COST:
        return
    program.upper[layout.load_factor] = 0.0
    for workload in range(layout.rate.shape[1]):
        able = np.flatnonzero(layout.rate[:, workload])
        program.add_row(f"cover[{workload}]", able, np.ones(len(able)), lower=1.0)


def _least_slack(program: Program, rows: list[int], problem: PlanProblem) -> list[tuple[int, float]]:
    """Rows and the slack each needs, least money in total; empty where no slack on them helps.

    Notes           Slack on the stock of whole machines is more machines, which cost what machines cost: it stands in
                    every row where they do. Slack on any other row is more of its upper side.
    """
    size = len(program.cost)
    slack_of = {row: size + position for position, row in enumerate(rows)}
    machines = {
        int(program.columns[row][-1]): slack  # define_stock adds u_o last
        for row, slack in slack_of.items()
        if _rents_machines(program.row_names[row], problem)
    }
    weights = [_weight_usd(program.row_names[row], problem) for row in rows]
    elastic = Program(
        np.append(program.cost, weights),
        np.append(program.lower, np.zeros(len(rows))),
        np.append(program.upper, np.full(len(rows), np.inf)),
        np.append(program.whole, [slack in machines.values() for slack in slack_of.values()]),
        maximize=False,
    )
    for row, name in enumerate(program.row_names):
        columns, values = program.columns[row], program.values[row]
        if row in slack_of and slack_of[row] not in machines.values():
            columns, values = np.append(columns, slack_of[row]), np.append(values, -1.0)
        for unit in set(columns.tolist()) & machines.keys():
            columns, values = np.append(columns, machines[unit]), np.append(values, values[columns == unit])
        elastic.add_row(name, columns, values, lower=program.row_lower[row], upper=program.row_upper[row])
    answer = solve(elastic, replace(problem.search, relative_gap=CHEAP_GAP))
    if answer.termination is Termination.INFEASIBLE or not len(answer.x):
        return []
    slack = answer.x[size:]
    return [(row, float(amount)) for row, amount in zip(rows, slack, strict=True) if amount > 1e-6]


def _rents_machines(name: str, problem: PlanProblem) -> bool:
    match = re.fullmatch(r"stock\[(\d+)\]", name)
    return match is not None and problem.offers.offers[int(match[1])].num_gpus > 1


def _weight_usd(name: str, problem: PlanProblem) -> float:
    """What a unit of slack on a limit is taken to cost [$/h]: money is money, a GPU or machine its price."""
    offers = problem.offers.offers
    match = re.fullmatch(r"(\w+)\[(.*)\]", name)
    if match is None or match[1].startswith("max_usd"):
        return 1.0
    if match[1] == "stock":
        return offers[int(match[2])].price_usd_per_hour
    return float(np.mean(gpu_prices(offers)))


def _describe(name: str, slack: float, problem: PlanProblem) -> str:
    match = re.fullmatch(r"(\w+)\[(.*)\]", name)
    if match is None:
        budget = problem.limits.budget_usd_per_hour or 0.0
        needed = np.ceil((budget + slack) * 100 - 1e-4) / 100
        return f"the budget of {budget:g} $/h is too small, {needed:.2f} $/h is enough (--budget {needed:.2f})"
    family, key = match[1], match[2]
    if family == "stock":
        what = "machines" if _rents_machines(name, problem) else "GPUs"
        return f"{np.ceil(slack - 1e-6):.0f} more {what} of {problem.offers.offers[int(key)].label} are needed"
    if family.startswith("max_usd"):
        return f"{family} of {key} needs {slack:.2f} $/h more"
    return f"{family} of {key} needs {np.ceil(slack - 1e-6):.0f} GPUs more"
