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
from cuvee.plan.dominance import undominated
from cuvee.plan.formulation import Layout, build_program, rough_load_factor
from cuvee.plan.pricing import Pricing, price
from cuvee.plan.problem import Objective, PlanProblem
from cuvee.plan.program import Answer, Indices, Program, Termination, solve
from cuvee.plan.projection import Projected, proven, search_copies

CORE_SIZE = 30
"""Candidates beside those of the relaxation that the first program may use [-]; more cost time, fewer quality."""

CORE_GROWTH = 8
"""How much larger the core becomes where it can serve no plan [-]."""

SHORTLIST = 10
"""Candidates looked at for each of the core's [-]: most of the nearest are replaced by others."""

CORE_GAP = 2e-2
"""Gap at which the first program stops [-]: it only has to find a plan worth proving."""

SMALL_LOAD_FACTOR = 0.5
"""Theta of the relaxation below which the program is scaled anew [-]: caps make money worth less than it seems."""

MOST_PAIRS = 10_000
"""Pairs of candidate and workload up to which assignments are columns of the last program [-]."""

WIDENING = (100, 500, 2_000)
"""Candidates that the programs over copies alone may have, one after the other [-]."""

WIDENING_S = 4.0
"""Solver time of each of them but the last [s]."""

NOBODY_SERVED = 1e-9
"""Theta of the relaxation that serves no request of some type [-]."""

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
    if (
        isinstance(pricing, Pricing)
        and problem.objective is Objective.THROUGHPUT
        and pricing.objective <= NOBODY_SERVED
    ):
        pricing = Termination.INFEASIBLE
    if isinstance(pricing, Termination):
        found = _nothing(pricing, problem, candidates, unit)
    elif len(candidates) <= CORE_SIZE:
        found = replace(_solve_over(np.arange(len(candidates)), problem, candidates, unit, started), pricing=pricing)
    else:
        found = replace(_from_core(pricing, problem, candidates, unit, started), pricing=pricing)
    return replace(found, answer=replace(found.answer, seconds=perf_counter() - started))


def _nothing(why: Termination, problem: PlanProblem, candidates: CandidateSet, unit: float) -> Found:
    """No plan, since even the relaxation has none."""
    nobody = np.zeros(0, dtype=np.int64)
    program, layout = build_program(problem, candidates.select(nobody), load_factor_unit=unit)
    return Found(nobody, program, layout, Answer(why, np.zeros(0), 0.0, np.inf, np.zeros(0), 0.0), None)


def _priced(problem: PlanProblem, candidates: CandidateSet) -> tuple[float, Pricing | Termination]:
    """The unit in which theta is near 1, and the marginal values in it."""
    unit = rough_load_factor(problem, candidates)
    pricing = price(problem, candidates, unit)
    if problem.objective is Objective.COST or isinstance(pricing, Termination):
        return unit, pricing
    if not NOBODY_SERVED < pricing.objective < SMALL_LOAD_FACTOR:
        return unit, pricing
    unit *= pricing.objective
    return unit, price(problem, candidates, unit)


def _from_core(pricing: Pricing, problem: PlanProblem, candidates: CandidateSet, unit: float, started: float) -> Found:
    size, core = CORE_SIZE, _core(pricing, candidates, CORE_SIZE)
    first = _solve_over(core, problem, candidates, unit, started, relative_gap=CORE_GAP)
    # A small core may be unable to serve the demand.
    while first.answer.termination is Termination.INFEASIBLE and size < len(candidates):
        size *= CORE_GROWTH
        first = _solve_over(_core(pricing, candidates, size), problem, candidates, unit, started, relative_gap=CORE_GAP)
    if not len(first.answer.x):
        return first
    if first.answer.termination is not Termination.OPTIMAL:
        return _stopped(first, pricing)
    possible = undominated_of(_possible(pricing, first.program.maximize, first.answer.objective), candidates)
    if sum(len(candidates.tables[model].workloads) for model in candidates.model_index[possible]) > MOST_PAIRS:
        return _over_copies(pricing, problem, candidates, unit, started, first)
    possible = np.union1d(possible, _rented(first))
    last = _solve_over(possible, problem, candidates, unit, started, start=first)
    if not len(last.answer.x):
        return _stopped(first, pricing)
    # Plans with a dropped candidate are no better than the first one: the bound must cover those too.
    worst = max if first.program.maximize else min
    bound = worst(last.answer.bound, first.answer.objective)
    return replace(last, answer=replace(last.answer, bound=bound))


def _over_copies(
    pricing: Pricing, problem: PlanProblem, candidates: CandidateSet, unit: float, started: float, first: Found
) -> Found:
    """Solve without a column for each assignment: over few candidates first, then over all that could be better."""
    copies = np.zeros(len(candidates))
    copies[first.rows] = np.round(first.answer.x[first.layout.copies])
    best = Projected(copies, first.answer.objective, pricing.objective, interrupted=False)
    deadline = np.inf if problem.search.time_limit_s is None else started + problem.search.time_limit_s
    worst = max if first.program.maximize else min
    for size in WIDENING:
        nearest = np.argsort(pricing.loss, kind="stable")[: SHORTLIST * size]
        possible = undominated_of(_possible(pricing, first.program.maximize, best.objective), candidates)
        complete = len(possible) <= size
        kept = np.union1d(
            possible if complete else nearest[_undominated_among(nearest, candidates)][:size],
            np.flatnonzero(best.copies),
        )
        start = replace(best, copies=best.copies[kept])
        until = deadline if complete or size == WIDENING[-1] else min(deadline, perf_counter() + WIDENING_S)
        found = search_copies(problem, candidates.select(kept), unit, start, pricing.copies[kept], until)
        # What was left out is covered by the relaxation or, where no better plan can rent it, by the plan before.
        bound = worst(found.bound, best.objective) if complete else pricing.objective
        copies = np.zeros(len(candidates))
        copies[kept] = found.copies
        best = replace(found, copies=copies, bound=bound)
        if complete or found.interrupted or perf_counter() >= deadline or proven(best, problem):
            break
    return _found_of(best, pricing, problem, candidates, unit)


def _found_of(best: Projected, pricing: Pricing, problem: PlanProblem, candidates: CandidateSet, unit: float) -> Found:
    """The copies of `best` as columns of the whole program, its assignment left open."""
    rented = np.flatnonzero(best.copies)
    program, layout = build_program(problem, candidates.select(rented), load_factor_unit=unit)
    x = np.zeros(layout.size)
    x[layout.copies] = best.copies[rented]
    termination = Termination.OPTIMAL if proven(best, problem) else Termination.FEASIBLE
    answer = Answer(termination, x, best.objective, best.bound, np.zeros(0), 0.0, best.interrupted)
    return Found(rented, program, layout, answer, pricing)


def _rented(found: Found) -> Indices:
    """Candidates of which the plan has copies."""
    return found.rows[found.answer.x[found.layout.copies] > 0.5]


def _core(pricing: Pricing, candidates: CandidateSet, size: int) -> Indices:
    """What the relaxation rents, and the candidates nearest to being worth their price that no others replace."""
    nearest = np.argsort(pricing.loss, kind="stable")[: SHORTLIST * size]
    kept = nearest[_undominated_among(nearest, candidates)]
    core = pricing.copies > 1e-9
    core[kept[:size]] = True
    return np.flatnonzero(core)


def _undominated_among(rows: Indices, candidates: CandidateSet) -> NDArray[np.bool_]:
    keep = np.zeros(len(candidates), dtype=bool)
    chosen = candidates.select(rows)
    for model in range(len(candidates.tables)):
        mine = chosen.model_index == model
        keep[rows[mine]] = undominated(chosen.offers[mine], chosen.gpus[mine], chosen.rate_req_per_s(model))
    return keep[rows]


def undominated_of(rows: Indices, candidates: CandidateSet) -> Indices:
    """Those of `rows` that no others of them replace."""
    return rows[_undominated_among(rows, candidates)]


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
    program, layout = build_program(problem, candidates.select(rows), load_factor_unit=unit)
    options = problem.search if relative_gap is None else replace(problem.search, relative_gap=relative_gap)
    if options.time_limit_s is not None:
        options = replace(options, time_limit_s=max(options.time_limit_s - (perf_counter() - started), 1e-3))
    copies = None
    if start is not None:
        known = np.zeros(len(candidates))
        known[start.rows] = np.round(start.answer.x[: len(start.rows)])
        copies = known[rows]
    return Found(rows, program, layout, solve(program, options, start=copies), None)


def _possible(pricing: Pricing, maximize: bool, value: float) -> Indices:
    """Candidates that a plan better than `value` may rent."""
    room = (pricing.objective - value) * (1 if maximize else -1)
    slack = SAFETY * max(abs(pricing.objective), abs(value))
    return np.flatnonzero(pricing.loss <= max(room, 0.0) + slack)


def _stopped(found: Found, pricing: Pricing) -> Found:
    """A plan that nothing better than the relaxation proves."""
    return replace(found, answer=replace(found.answer, termination=Termination.FEASIBLE, bound=pricing.objective))
