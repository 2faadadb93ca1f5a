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
from cuvee.plan.formulation import Layout, build_program
from cuvee.plan.pricing import Pricing, price
from cuvee.plan.problem import Objective, PlanProblem, SearchOptions
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
        pricing    Marginal values; None where even the relaxation has no answer.
    """

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
    program, layout, pricing = _priced(problem, candidates)
    if pricing is None or layout.num_candidates <= CORE_SIZE:
        answer = solve(program, _remaining(problem.search, started))
    else:
        answer = _search_from_core(program, pricing, problem.search, started)
    return Found(program, layout, replace(answer, seconds=perf_counter() - started), pricing)


def _priced(problem: PlanProblem, candidates: CandidateSet) -> tuple[Program, Layout, Pricing | None]:
    """The program with its theta near 1, priced."""
    program, layout = build_program(problem, candidates)
    pricing = price(program, layout, problem.search)
    if problem.objective is Objective.COST or pricing is None or not 0 < pricing.objective < SMALL_LOAD_FACTOR:
        return program, layout, pricing
    program, layout = build_program(problem, candidates, load_factor_unit=pricing.objective)
    return program, layout, price(program, layout, problem.search)


def _search_from_core(program: Program, pricing: Pricing, options: SearchOptions, started: float) -> Answer:
    core = _core(pricing)
    found = solve(_restrict(program, core), replace(_remaining(options, started), relative_gap=CORE_GAP))
    if not len(found.x):
        # The core alone may be unable to serve the demand: then nothing is known, and nothing can be dropped.
        return solve(program, _remaining(options, started))
    if found.termination is not Termination.OPTIMAL:
        return _stopped(found, pricing)
    possible = _possible(pricing, found, program.maximize)
    proven = solve(_restrict(program, possible), _remaining(options, started), start=found.x)
    if not len(proven.x):
        return _stopped(found, pricing)
    return _bounded_by(proven, found, program.maximize)


def _core(pricing: Pricing) -> NDArray[np.bool_]:
    core = pricing.copies > 1e-9
    core[np.argsort(pricing.loss, kind="stable")[:CORE_SIZE]] = True
    return core


def _possible(pricing: Pricing, found: Answer, maximize: bool) -> NDArray[np.bool_]:
    """Candidates that a plan better than `found` may rent, and those of `found` itself."""
    room = (pricing.objective - found.objective) * (1 if maximize else -1)
    slack = SAFETY * max(abs(pricing.objective), abs(found.objective))
    possible = pricing.loss <= max(room, 0.0) + slack
    possible |= found.x[: len(possible)] > 0.5
    return np.asarray(possible)


def _restrict(program: Program, allowed: NDArray[np.bool_]) -> Program:
    """The program in which only the `allowed` candidates may be rented."""
    restricted = Program(**vars(program))
    restricted.upper = program.upper.copy()
    restricted.upper[: len(allowed)][~allowed] = 0.0
    return restricted


def _remaining(options: SearchOptions, started: float) -> SearchOptions:
    if options.time_limit_s is None:
        return options
    return replace(options, time_limit_s=max(options.time_limit_s - (perf_counter() - started), 1e-3))


def _stopped(found: Answer, pricing: Pricing) -> Answer:
    """A plan that nothing better than the relaxation proves."""
    return replace(found, termination=Termination.FEASIBLE, bound=pricing.objective)


def _bounded_by(proven: Answer, found: Answer, maximize: bool) -> Answer:
    """`proven` with a bound that also covers plans with dropped candidates: those are no better than `found`."""
    worst = max if maximize else min
    return replace(proven, bound=worst(proven.bound, found.objective))
