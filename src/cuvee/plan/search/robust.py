"""Robust plans: the search for one, what is given where it is stopped before any, and what a plan withstands."""

from dataclasses import replace
from time import perf_counter

import numpy as np

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.evaluation.stress import worst_draw_req_per_s
from cuvee.plan.outcome.result import Plan
from cuvee.plan.program.formulation import build_program, rough_load_factor
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.search.best_so_far import Found, SoFar, best_so_far, known_bound, nothing
from cuvee.plan.search.pricing import Pricing, price
from cuvee.plan.search.robust_cases import RobustCases
from cuvee.plan.search.robust_search import RobustSearch, Trusted
from cuvee.plan.search.search import SMALL_LOAD_FACTOR
from cuvee.plan.solver.program import Answer, Array, StopReason, Termination


def search_robustly(problem: PlanProblem, candidates: CandidateSet, cases: RobustCases) -> Found:
    """The best plan over `candidates` in the worst of `cases`; see `search` for what is returned and when it stops.

    Notes           Stopped before there was a robust plan, it gives one by the estimates: see `_nominal`.
    """
    started = perf_counter()
    so_far, trusted = SoFar(rough_load_factor(problem, candidates)), Trusted(np.zeros(len(candidates)))
    try:
        found = _searched(problem, candidates, cases, started, so_far, trusted)
    except KeyboardInterrupt:
        reason = StopReason.INTERRUPTED
        found = nothing(Termination.NOTHING_FOUND, problem, candidates, so_far.unit, reason=reason)
    if not len(found.answer.x) and found.answer.stopped_by is not None:
        found = _nominal(problem, candidates, so_far, trusted.copies, found.answer.stopped_by)
    return replace(found, answer=replace(found.answer, seconds=perf_counter() - started))


def _searched(
    problem: PlanProblem,
    candidates: CandidateSet,
    cases: RobustCases,
    started: float,
    so_far: SoFar,
    trusted: Trusted,
) -> Found:
    unit, limit = so_far.unit, problem.search.time_limit_s
    deadline = np.inf if limit is None else started + limit
    estimates = price(problem, candidates, unit, deadline=deadline, keep=so_far.keep)
    if isinstance(estimates, Termination):
        return _nothing(estimates, problem, candidates, unit, started)
    search = RobustSearch(problem, candidates, cases, unit, started, trusted)
    relaxed = search.relax(estimates)
    small = isinstance(relaxed, Pricing) and 0 < relaxed.objective < SMALL_LOAD_FACTOR
    if isinstance(relaxed, Pricing) and small and problem.objective is Objective.THROUGHPUT:
        search = RobustSearch(problem, candidates, cases, unit * relaxed.objective, started, trusted)
        relaxed = search.relax(relaxed)
    if isinstance(relaxed, Termination):
        return _nothing(relaxed, problem, candidates, unit, started)
    return search.whole(relaxed)


def _nothing(why: Termination, problem: PlanProblem, candidates: CandidateSet, unit: float, started: float) -> Found:
    """No plan: even the relaxation has none, or was not solved."""
    if why is Termination.INFEASIBLE:
        return nothing(why, problem, candidates, unit)
    limit_s = problem.search.time_limit_s
    late = limit_s is not None and perf_counter() - started >= limit_s
    reason = StopReason.TIME_LIMIT if late else StopReason.NUMERICAL_TROUBLE
    return nothing(Termination.NOTHING_FOUND, problem, candidates, unit, reason=reason)


def _nominal(
    problem: PlanProblem, candidates: CandidateSet, so_far: SoFar, trusted: Array, reason: StopReason
) -> Found:
    """The copies `trusted`, which serve by the estimates, or without any a plan that needs no search.

    Returns         At least cost without a bound: a robust plan may cost more. Under a budget the bound is that of the
                    estimates, which are one of the cases.
    """
    none = nothing(Termination.NOTHING_FOUND, problem, candidates, so_far.unit, reason=reason)
    if trusted.any():
        rows = np.flatnonzero(trusted)
        program, layout = build_program(problem, candidates.select(rows), load_factor_unit=so_far.unit)
        x = np.zeros(layout.size)
        x[layout.copies] = trusted[rows]
        bound = known_bound(problem, candidates, so_far)
        answer = Answer(Termination.FEASIBLE, x, 0.0, bound, np.zeros(0), 0.0, reason)
        found = Found(rows, program, layout, answer, so_far.pricing)
    else:
        found = best_so_far(problem, candidates, (), so_far, none, reason)
    if problem.objective is Objective.COST:
        return replace(found, answer=replace(found.answer, bound=-np.inf))
    return found


def with_worst_draw(plan: Plan, *, bound_req_per_s: float) -> Plan:
    """`plan` with what it sustains in the worst draw, which throughput optimises.

    Parameters
        bound_req_per_s    No plan sustains more in the worst draw, but for the price on money that breaks ties; read
                           where throughput is the objective.
    """
    worst = worst_draw_req_per_s(plan)
    if plan.objective_name is Objective.COST or not worst > 0:
        return replace(plan, worst_draw_req_per_s=worst)
    bound = max(bound_req_per_s, worst)
    return replace(plan, worst_draw_req_per_s=worst, objective=worst, bound=bound, gap=(bound - worst) / worst)
