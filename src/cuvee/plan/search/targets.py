"""Targets: whether any fleet serves a given load, asked as a question of money.

With theta fixed, the models share nothing but money, stock and caps. What a model alone costs at the shadow prices of
the relaxation, where a GPU costs its price and what others would give for it, is a small program of its own, and its
answer a cut that holds for every fleet that serves the target:

    sum_c q_c y_c >= least_m      over the candidates c of model m

It holds whatever the q_c >= 0 are. They are what a copy is charged at the shadow prices over that of a dollar: then
the relaxation, which rents fractions of replicas, falls just short of the budget with the sum over the models; whole
replicas cost more, model by model, so that with these cuts a target above the best plan is refuted in seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.program.formulation import COST_TIE_BREAK, build_program
from cuvee.plan.program.layout import Layout, first_workloads
from cuvee.plan.question.problem import PlanProblem, SearchOptions
from cuvee.plan.search.projection import Projected, services
from cuvee.plan.solver.program import Answer, Array, Indices, Program, StopReason, Termination, solve, within

MODEL_S = 2.0
"""Solver time for what one model alone costs [s]."""

MODEL_GAP = 1e-4
"""Gap of that [-]; its bound is the cut."""

ANY_GAP = 0.9
"""Gap at which the answer to a target is good enough [-]: any fleet within the budget serves it."""

SAFETY = 1e-7
"""Relative slack of the cuts [-]: the solver's own tolerance."""


def beyond(
    best: Projected, ask: Callable[[float, float], "Target | None"], options: SearchOptions, until: float
) -> Projected:
    """`best`, or one that is better by more than the gap of `options`, and the proof that none is where it was found.

    Parameters
        best     With its load factor as objective.
        ask      The question of a load factor, to be answered until a time; None where it is too large.
        until    When to stop, as of `perf_counter` [s].
    """
    gap = options.relative_gap
    while best.bound > best.objective * (1 + gap) and perf_counter() < until and not _is_interrupted(best):
        load_factor = best.objective * (1 + gap) - COST_TIE_BREAK
        target = ask(load_factor, until) if load_factor > best.objective else None
        if target is None:
            break
        try:
            found = target.answer()
        except KeyboardInterrupt:
            return replace(best, stopped_by=StopReason.INTERRUPTED)
        is_better = found.objective > best.objective
        reason = found.stopped_by if _is_interrupted(found) else best.stopped_by
        best = replace(found if is_better else best, bound=min(best.bound, found.bound), stopped_by=reason)
        if not is_better:
            break
    return best


def _is_interrupted(found: Projected) -> bool:
    return found.stopped_by is StopReason.INTERRUPTED


@dataclass(frozen=True, eq=False)
class Target:
    """The program of fleets that serve one load, over some candidates.

    Attributes
        candidates              All of them.
        load_factor             theta that is to be served, in `unit` [-].
        rows                    The candidates that a fleet may be of, shape (num_rows,).
        charged_usd_per_hour    q_c of each of those [$/h], the same shape.
        deadline                When to stop, as of `perf_counter` [s].
    """

    problem: PlanProblem
    candidates: CandidateSet
    unit: float
    load_factor: float
    rows: Indices
    charged_usd_per_hour: Array
    deadline: float

    def answer(self) -> Projected:
        """A fleet that serves the target; none and the target as bound where none can; none and no bound otherwise."""
        chosen = self.candidates.select(self.rows)
        program, layout = build_program(self.problem, chosen, load_factor_unit=self.unit)
        worth = program.cost.copy()
        program.lower[layout.load_factor] = program.upper[layout.load_factor] = self.load_factor
        program.maximize = False
        program.cost[:] = 0.0
        nothing = Projected(np.zeros(len(self.candidates)), -np.inf, np.inf)
        refuted = replace(nothing, bound=self.load_factor)
        cuts = []
        for model in range(len(self.problem.models)):
            mine = np.flatnonzero(chosen.model_index == model)
            alone = self._alone(program, layout, model, mine)
            if alone.stopped_by is StopReason.INTERRUPTED:
                return replace(nothing, stopped_by=alone.stopped_by)
            if alone.termination is Termination.INFEASIBLE:
                return refuted
            cuts.append((mine, max(alone.bound, 0.0) * (1 - SAFETY)))
        for mine, least in cuts:
            program.add_row("alone", "", layout.copies[mine], self.charged_usd_per_hour[mine], lower=least)
        columns, prices = program.entries_of(_budget_row(program))
        program.cost[columns] = prices
        answer = solve(program, within(SearchOptions(relative_gap=ANY_GAP), self.deadline))
        if answer.termination is Termination.INFEASIBLE:
            return refuted
        if not len(answer.x):
            return replace(nothing, stopped_by=answer.stopped_by)
        return self._found(layout, worth, answer)

    def _alone(self, program: Program, layout: Layout, model: int, mine: Indices) -> Answer:
        """What `model` costs at the charges with the others left out."""
        alone = program.copy()
        others = np.setdiff1d(layout.copies, mine)
        alone.upper[layout.copies[others]] = 0.0
        first = first_workloads(self.candidates)
        apart = np.ones(layout.num_workloads, dtype=bool)
        apart[first[model] : first[model + 1]] = False
        alone.row_lower[program.rows_of("demand")[apart]] = -np.inf
        alone.row_lower[program.rows_of("cover")[apart]] = -np.inf
        alone.cost[layout.copies[mine]] = self.charged_usd_per_hour[mine]
        options = SearchOptions(relative_gap=MODEL_GAP, time_limit_s=MODEL_S)
        return solve(alone, within(options, self.deadline))

    def _found(self, layout: Layout, worth: Array, answer: Answer) -> Projected:
        """The fleet of `answer` with all that it serves, which may be more than the target."""
        copies = np.zeros(len(self.candidates))
        copies[self.rows] = np.round(answer.x[layout.copies])
        served = min(each.load_factor for each in services(self.problem, self.candidates, self.unit, copies))
        x = answer.x.copy()
        x[layout.load_factor] = served
        return Projected(copies, float(worth @ x), np.inf, answer.stopped_by)


def _budget_row(program: Program) -> int:
    row = program.row_of("budget", "")
    assert row is not None
    return row
