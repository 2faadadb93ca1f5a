"""The best plan so far: what a search can give when it is stopped, and what is proven of it.

Before the solver has a plan, one is made without it: greedy, from nothing, from what the relaxation rents whole, and
from what runs now. Before the relaxation has a bound, prices alone prove one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.candidates.placement import usable_gpus
from cuvee.plan.program.contingency import Losses, build_with
from cuvee.plan.program.formulation import build_program, most_money, request_weights
from cuvee.plan.program.layout import Layout, make_layout
from cuvee.plan.program.machine_losses import fix_machines
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.search.greedy import greedy_copies
from cuvee.plan.search.pricing import Pricing
from cuvee.plan.solver.program import Answer, Array, Program, StopReason, Termination, solve

NOBODY_SERVED = 1e-9
"""Theta that serves no request of some type [-]."""


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


@dataclass
class SoFar:
    """What a search knows at any moment.

    Attributes
        unit       What theta counts in; see `build_program`.
        pricing    Of the last round of the relaxation that was finished.
        found      The best plan; its bound holds.
    """

    unit: float
    pricing: Pricing | None = None
    found: Found | None = None

    def keep(self, pricing: Pricing) -> None:
        """Remember the prices of a round."""
        self.pricing = pricing


def stopped(found: Found, bound: float, reason: StopReason | None) -> Found:
    """A plan that was not proven."""
    return replace(
        found, answer=replace(found.answer, termination=Termination.FEASIBLE, bound=bound, stopped_by=reason)
    )


def nothing(
    why: Termination,
    problem: PlanProblem,
    candidates: CandidateSet,
    unit: float,
    bound: float | None = None,
    reason: StopReason | None = None,
) -> Found:
    """No plan: there is none, or none was found, or none that is worth the search.

    Parameters
        bound    Of what might be found; none where None.
    """
    nobody = np.zeros(0, dtype=np.int64)
    program, layout = build_program(problem, candidates.select(nobody), load_factor_unit=unit)
    if bound is None:
        bound = np.inf if program.maximize else -np.inf
    return Found(nobody, program, layout, Answer(why, np.zeros(0), 0.0, bound, np.zeros(0), 0.0, reason), None)


def best_so_far(
    problem: PlanProblem,
    candidates: CandidateSet,
    contingencies: Losses,
    so_far: SoFar,
    found: Found,
    reason: StopReason,
) -> Found:
    """The best of `found`, where that is a plan, and of those that need no search."""
    plans = [found, *_unsearched(problem, candidates, contingencies, so_far, reason)]
    sign = 1 if problem.objective is Objective.THROUGHPUT else -1
    return max(plans, key=lambda each: sign * each.answer.objective if len(each.answer.x) else -np.inf)


def _unsearched(
    problem: PlanProblem,
    candidates: CandidateSet,
    contingencies: Losses,
    so_far: SoFar,
    reason: StopReason,
) -> Iterator[Found]:
    """Plans of greedy copies that keep every limit, with the best assignment."""
    for copies in _copies(problem, candidates, so_far):
        rows = np.flatnonzero((copies > 0) | candidates.is_kept)
        if not copies.any():
            continue
        chosen, cases = candidates.select(rows), [contingency.select(rows) for contingency in contingencies]
        program, layout = build_with(cases, problem, chosen, load_factor_unit=so_far.unit)
        fixed = program.relaxed()
        fixed.lower[layout.copies] = fixed.upper[layout.copies] = copies[rows]
        fix_machines(fixed, layout, chosen, copies[rows], problem)
        taken = chosen.gpus_taken(copies[rows], len(problem.offers.offers))[layout.machine_offer]
        usable = np.array([usable_gpus(problem.offers.offers[offer]) for offer in layout.machine_offer], dtype=np.int64)
        fixed.lower[layout.machines] = fixed.upper[layout.machines] = -(-taken // usable)
        answer = solve(fixed, replace(problem.search, time_limit_s=None))
        if answer.termination is Termination.OPTIMAL and answer.x[layout.services].max() > NOBODY_SERVED:
            whole = Found(rows, program, layout, replace(answer, row_dual=np.zeros(0)), so_far.pricing)
            yield stopped(whole, known_bound(problem, candidates, so_far), reason)


def _copies(problem: PlanProblem, candidates: CandidateSet, so_far: SoFar) -> Iterator[NDArray[np.int64]]:
    starts: list[Array | None] = [None]
    if so_far.pricing is not None:
        starts.append(so_far.pricing.copies)
    if problem.current is not None and candidates.is_kept.any():
        running = np.array([float(group.copies) for group in problem.current.groups])
        starts.append(np.where(candidates.is_kept, running[candidates.running], 0.0))
    for start in starts:
        yield greedy_copies(problem, candidates, start=start)


def known_bound(problem: PlanProblem, candidates: CandidateSet, so_far: SoFar) -> float:
    """The better of what the relaxation and what prices alone prove."""
    rough = rough_bound(problem, candidates, so_far.unit)
    if so_far.pricing is None:
        return rough
    tighter = max if problem.objective is Objective.COST else min
    return tighter(rough, so_far.pricing.objective)


def rough_bound(problem: PlanProblem, candidates: CandidateSet, load_factor_unit: float) -> float:
    """What no plan beats, without solving anything: each type on its best candidate per dollar, in any fractions.

    Returns         value of the program's objective: money, or theta in `load_factor_unit`; infinite where phases may
                    be apart. Of several thetas all the money goes to the one that counts most for it.
    """
    if candidates.pools is not None:
        return -np.inf if problem.objective is Objective.COST else np.inf
    money = _rough_money(problem, candidates)
    if problem.objective is Objective.COST:
        return (1 + problem.aim.headroom) * float(money.sum())
    nobody = np.zeros(0, dtype=np.int64)
    layout = make_layout(problem, candidates.select(nobody), (nobody, nobody), load_factor_unit)
    counts = request_weights(problem) * layout.demand_req_per_s
    counted = np.bincount(layout.service_of_workload, counts) / max(counts.sum(), 1e-300)
    most = float((counted * most_money(problem) / np.bincount(layout.service_of_workload, money)).max())
    return (min(most, 1.0) if problem.ends_at_the_demand else most) / load_factor_unit


def _rough_money(problem: PlanProblem, candidates: CandidateSet) -> Array:
    """lambda_w min_c o_c / h_cw: money for all of w that no plan undercuts [$/h]; inf where nobody serves it."""
    money = []
    for model, (table, demanded) in enumerate(zip(candidates.tables, problem.rates_req_per_s, strict=True)):
        mine = candidates.model_index == model
        least_price = np.full(len(table.configs), np.inf)
        np.minimum.at(least_price, candidates.config[mine], candidates.price_usd_per_hour[mine])
        per_dollar = (table.rate_req_per_s / least_price[:, None]).max(axis=0, initial=0.0)
        known = per_dollar > 0
        money.append(np.where(known, np.array(demanded) / np.where(known, per_dollar, 1.0), np.inf))
    return np.concatenate(money)
