"""The search: a good plan over few candidates first, then proof over those that could still beat it.

1. Price every candidate by the relaxation. Its value bounds every plan.
2. Solve over the core: candidates the relaxation rents, and those nearest to being worth their price.
3. Drop each candidate whose mere presence costs more than the relaxation is above the plan found: by weak duality
   no better plan rents it. Solve over the rest, starting from the plan found.

The result is optimal over all candidates: those dropped cannot be part of anything better, and the bound of the last
program holds for all others. Usually a tenth of the candidates is left.
"""

from dataclasses import replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.formulation import Layout
from cuvee.plan.pricing import Pricing, price
from cuvee.plan.problem import SearchOptions
from cuvee.plan.program import Answer, Program, Termination, solve

CORE_SIZE = 30
"""Candidates beside those of the relaxation that the first program may use [-]; more cost time, fewer quality."""

CORE_GAP = 2e-2
"""Gap at which the first program stops [-]: it only has to find a plan worth proving."""

SAFETY = 1e-6
"""Relative slack when a candidate is dropped [-]: the shadow prices carry the solver's own tolerance."""


def search(program: Program, layout: Layout, options: SearchOptions) -> tuple[Answer, Pricing | None]:
    """Solve `program`: the same answer as `solve`, sooner, and the marginal values on the way.

    Notes           The time limit holds for all steps together. A step that is stopped ends the search with the best
                    plan so far and the bound of the relaxation.
    """
    started = perf_counter()
    pricing = price(program, layout, options)
    if pricing is None or layout.num_candidates <= CORE_SIZE:
        answer = solve(program, options)
    else:
        answer = _search_from_core(program, pricing, options, started)
    return replace(answer, seconds=perf_counter() - started), pricing


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
    gap = abs(pricing.objective - found.objective) / max(abs(found.objective), 1e-12)
    return replace(found, termination=Termination.FEASIBLE, bound=pricing.objective, gap=gap)


def _bounded_by(proven: Answer, found: Answer, maximize: bool) -> Answer:
    """`proven` with a bound that also covers plans with dropped candidates: those are no better than `found`."""
    worst = max if maximize else min
    bound = worst(proven.bound, found.objective)
    return replace(proven, bound=bound, gap=abs(bound - proven.objective) / max(abs(proven.objective), 1e-12))
