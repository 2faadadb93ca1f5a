"""The search: a good plan over few candidates first, then proof over those that could still beat it.

1. Price every candidate by the relaxation. Its value bounds every plan.
2. Solve over the core: candidates the relaxation rents, and those nearest to being worth their price.
3. Drop each candidate whose mere presence costs more than the relaxation is above the plan found: by weak duality
   no better plan rents it. Solve over the rest, starting from the plan found.

The result is optimal over all candidates: those dropped cannot be part of anything better, and the bound of the last
program holds for all others. Usually a tenth of the candidates is left.
"""

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates import CandidateSet
from cuvee.plan.formulation import Layout, build_program, rough_load_factor
from cuvee.plan.pricing import Pricing, price
from cuvee.plan.problem import Objective, PlanProblem
from cuvee.plan.program import Answer, Program, Termination, solve

CORE_SIZE = 30
"""Candidates beside those of the relaxation that the first program may use [-]; more cost time, fewer quality."""

CORE_GAP = 2e-2
"""Gap at which the first program stops [-]: it only has to find a plan worth proving."""

SMALL_LOAD_FACTOR = 0.5
"""Theta of the relaxation below which the program is scaled anew [-]: caps make money worth less than it seems."""

SAFETY = 1e-6
"""Relative slack when a candidate is dropped [-]: the shadow prices carry the solver's own tolerance."""


@dataclass(frozen=True, eq=False)
class Found:
    """What `search` found, and the program it found it in.

    Attributes
        rows       Candidates of the last program, as rows of those searched, shape (num_columns of y,).
        pricing    Marginal values over all candidates searched; None where even the relaxation has no answer.
    """

    rows: NDArray[np.int64]
    program: Program
    layout: Layout
    answer: Answer
    pricing: Pricing | None


def search(problem: PlanProblem, candidates: CandidateSet) -> Found:
    """The best plan over `candidates`, of which there is at least one.

    Notes           The time limit holds for all steps together. A step that is stopped ends the search with the best
                    plan so far and the bound of the relaxation.
    """
    started = perf_counter()
    unit, pricing = _priced(problem, candidates)
    everything = np.arange(len(candidates))
    if pricing is None or len(candidates) <= CORE_SIZE:
        found = _solve_over(everything, problem, candidates, unit, started)
    else:
        found = _from_core(pricing, problem, candidates, unit, started)
    return replace(found, pricing=pricing, answer=replace(found.answer, seconds=perf_counter() - started))


def _priced(problem: PlanProblem, candidates: CandidateSet) -> tuple[float, Pricing | None]:
    """The unit in which theta is near 1, and the marginal values in it."""
    unit = rough_load_factor(problem, candidates)
    pricing = price(problem, candidates, unit)
    if problem.objective is Objective.COST or pricing is None or not 0 < pricing.objective < SMALL_LOAD_FACTOR:
        return unit, pricing
    unit *= pricing.objective
    return unit, price(problem, candidates, unit)


def _from_core(pricing: Pricing, problem: PlanProblem, candidates: CandidateSet, unit: float, started: float) -> Found:
    core = pricing.copies > 1e-9
    core[np.argsort(pricing.loss, kind="stable")[:CORE_SIZE]] = True
    first = _solve_over(np.flatnonzero(core), problem, candidates, unit, started, relative_gap=CORE_GAP)
    if not len(first.answer.x):
        # The core alone may be unable to serve the demand: then nothing is known, and nothing can be dropped.
        return _solve_over(np.arange(len(candidates)), problem, candidates, unit, started)
    if first.answer.termination is not Termination.OPTIMAL:
        return _stopped(first, pricing)
    possible = _possible(pricing, first)
    proven = _solve_over(possible, problem, candidates, unit, started, start=first)
    if not len(proven.answer.x):
        return _stopped(first, pricing)
    # Plans with a dropped candidate are no better than the first one: the bound must cover those too.
    worst = max if first.program.maximize else min
    bound = worst(proven.answer.bound, first.answer.objective)
    return replace(proven, answer=replace(proven.answer, bound=bound))


def _solve_over(
    rows: NDArray[np.int64],
    problem: PlanProblem,
    candidates: CandidateSet,
    unit: float,
    started: float,
    *,
    relative_gap: float | None = None,
    start: Found | None = None,
) -> Found:
    """Solve over the candidates at `rows`, in what is left of the time, starting from the copies of `start`."""
    allowed = np.zeros(len(candidates), dtype=bool)
    allowed[rows] = True
    program, layout = build_program(problem, candidates.select(allowed), load_factor_unit=unit)
    options = problem.search if relative_gap is None else replace(problem.search, relative_gap=relative_gap)
    if options.time_limit_s is not None:
        options = replace(options, time_limit_s=max(options.time_limit_s - (perf_counter() - started), 1e-3))
    copies = None
    if start is not None:
        known = np.zeros(len(candidates))
        known[start.rows] = np.round(start.answer.x[: len(start.rows)])
        copies = known[rows]
    return Found(rows, program, layout, solve(program, options, start=copies), None)


def _possible(pricing: Pricing, first: Found) -> NDArray[np.int64]:
    """Candidates that a plan better than `first` may rent, and those of `first` itself."""
    value = first.answer.objective
    room = (pricing.objective - value) * (1 if first.program.maximize else -1)
    slack = SAFETY * max(abs(pricing.objective), abs(value))
    possible = pricing.loss <= max(room, 0.0) + slack
    possible[first.rows[first.answer.x[: len(first.rows)] > 0.5]] = True
    return np.flatnonzero(possible)


def _stopped(found: Found, pricing: Pricing) -> Found:
    """A plan that nothing better than the relaxation proves."""
    return replace(found, answer=replace(found.answer, termination=Termination.FEASIBLE, bound=pricing.objective))
