"""Thrift: the same load for less money, with the replicas of a plan and no others.

The price on money in the throughput objective is far below the solver's tolerances, so that a plan within the gap may
rent a replica that nobody needs. Here the copies found are the most there may be, the objective found the least that
has to be reached, and money is what is minimised: a program of a handful of columns.
"""

from dataclasses import replace

import numpy as np

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.program.contingency import Losses, build_with
from cuvee.plan.program.formulation import gpu_prices, weigh_columns
from cuvee.plan.question.problem import PlanProblem, SearchOptions
from cuvee.plan.search.best_so_far import Found
from cuvee.plan.solver.program import solve, within

THRIFT_S = 2.0
"""Solver time for it [s]; it takes milliseconds, unless contingencies are many."""

THRIFT_GAP = 1e-6
"""Gap of the money [-]."""


def spent_least(
    found: Found,
    problem: PlanProblem,
    candidates: CandidateSet,
    contingencies: Losses,
    unit: float,
    deadline: float,
) -> Found:
    """`found`, or a plan of some of its replicas that is no worse and costs less.

    Parameters
        found       A plan under the throughput objective, over `candidates`.
        unit        What theta counts in there; see `build_program`.
        deadline    When to stop, as of `perf_counter` [s].
    Notes           What was proven of `found` holds of it too: its objective is no less.
    """
    copies = np.round(found.answer.x[found.layout.copies])
    rows, copies = found.rows[copies > 0], copies[copies > 0]
    chosen = candidates.select(rows)
    program, layout = build_with(
        [contingency.select(rows) for contingency in contingencies], problem, chosen, load_factor_unit=unit
    )
    cheaper = program.copy()
    cheaper.maximize = False
    cheaper.upper[layout.copies] = copies
    worth = np.flatnonzero(program.cost)
    cheaper.add_row("worth", "", worth, program.cost[worth], lower=found.answer.objective)
    cheaper.cost[:] = 0.0
    columns, prices = weigh_columns(layout, chosen, problem.offers.offers, gpu_prices(problem.offers.offers))
    cheaper.cost[columns] = prices
    answer = solve(cheaper, within(SearchOptions(relative_gap=THRIFT_GAP, time_limit_s=THRIFT_S), deadline))
    if not len(answer.x) or np.array_equal(np.round(answer.x[layout.copies]), copies):
        return found
    spared = replace(found.answer, x=answer.x, objective=float(program.cost @ answer.x))
    return replace(found, rows=rows, program=program, layout=layout, answer=spared)
