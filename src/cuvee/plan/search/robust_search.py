"""Robust plans: the copies that serve most in the worst of many draws, or the cheapest that serve all in each of them.

Cases k are the estimates (k = 0) and N draws of throughput errors; in a draw, spot offers may be taken back. What
copies y sustain in a case is a linear program of its own, theta_k(y), so the robust plan is

    maximise theta    theta <= theta_k(y) for every k,    y within the limits;    cost: theta = 1, least money,

with head-room for the estimates alone where it is asked for.

theta_k is concave, and each of its dual solutions pi with sum_w pi_w lambda_w = 1 is a cut that holds for all copies:

    theta <= theta_k(y) <= sum_c g_c y_c,        g_c = max_w pi_w h_kcw,  0 where c stands on an offer taken back.

The program over copies with such cuts is solved, its answer is evaluated in every case, and what it promised too much
is cut off, until nothing is (Benders, 1962). First with copies in fractions, which gives a bound and says which
candidates can be in no better plan; then with whole copies over a few candidates; then over all that are left.
"""

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.evaluation.evaluation import load_factors
from cuvee.plan.program.charges import charge_per_gpu
from cuvee.plan.program.formulation import COST_TIE_BREAK, build_program
from cuvee.plan.program.layout import Layout
from cuvee.plan.program.relaxation import fractional
from cuvee.plan.question.problem import Objective, PlanProblem, SearchOptions
from cuvee.plan.search.best_so_far import NOBODY_SERVED, Found, nothing
from cuvee.plan.search.pairs import NO_PAIRS
from cuvee.plan.search.pricing import Pricing
from cuvee.plan.search.projection import PROMISED
from cuvee.plan.search.robust_cases import RobustCases
from cuvee.plan.search.search import CORE_GAP, CORE_SIZE, SAFETY
from cuvee.plan.solver.program import Answer, Array, Indices, Program, StopReason, Termination, solve, within

FIRST_CANDIDATES = 2_000
"""Candidates that enter the first relaxation [-]: those that lose least by the estimates."""

JOIN_AT_ONCE = 1_000
"""Candidates that join the relaxation in a round, the most underpaid first [-]."""

MOST_POSSIBLE = 1_000
"""Candidates that the last program may have [-]; where more are possible the bound is the relaxation's."""

WIDENING = 4
"""How many times more they may be in each program after one that has no plan at all [-]."""

CUTS_PER_ROUND = 0.25
"""Share of the cases, the worst, that are cut in a round of the relaxation [-]; at least `FEWEST_CUTS`."""

FEWEST_CUTS = 5


@dataclass
class Trusted:
    """Copies that serve what is asked by the estimates, though not in every draw: those that serve most in the worst.

    Attributes
        copies    Zeros where there are none, shape (num_candidates,).
        worst     Theta of their worst case, over what it is to be [-].
    """

    copies: Array
    worst: float = -np.inf


@dataclass(frozen=True, eq=False)
class _Cut:
    """theta <= sum_c g_c y_c, from one case and one model.

    Attributes
        worth    pi_w over the types of the model [per req/s].
        gains    g of each configuration of the model, before offers taken back.
    """

    case: int
    model: int
    worth: Array
    gains: Array


@dataclass(frozen=True, eq=False)
class _Best:
    """The best copies found over all candidates, their objective as `Answer.objective`, and the bound.

    `is_searched` where the last rounds ended by themselves: over their candidates there is nothing better.
    """

    copies: Array
    objective: float
    bound: float
    stopped_by: StopReason | None = None
    is_searched: bool = False

    def is_within(self, relative_gap: float) -> bool:
        """Whether there are copies, proven to the gap."""
        return len(self.copies) > 0 and abs(self.bound - self.objective) <= relative_gap * abs(self.objective)


class RobustSearch:
    """One search: its cuts hold for any copies, so every program of it uses them all."""

    def __init__(
        self,
        problem: PlanProblem,
        candidates: CandidateSet,
        cases: RobustCases,
        unit: float,
        started: float,
        trusted: Trusted,
    ) -> None:
        self.problem, self.candidates, self.cases = problem, candidates, cases
        self.unit, self.started, self.trusted = unit, started, trusted
        self.demand = [np.array(rates) * unit for rates in problem.rates_req_per_s]
        # Head-room is wanted by the estimates; in a draw the demand itself is enough.
        self.levels = np.full(len(cases.lost), 1 / (1 + problem.aim.headroom))
        self.levels[0] = 1.0
        self.cuts: list[_Cut] = []
        for model, demanded in enumerate(self.demand):
            self._add_cut(0, model, 1 / (len(demanded) * demanded))

    # What copies serve, and the cuts that say so.

    def evaluate(self, copies: Array) -> list[tuple[Array, Array]]:
        """theta of each case and what requests are worth there, model by model."""
        return [self._evaluate_model(model, copies) for model in range(len(self.demand))]

    def _evaluate_model(self, model: int, copies: Array) -> tuple[Array, Array]:
        rows = np.flatnonzero((copies > 0) & (self.candidates.model_index == model))
        demanded = self.demand[model]
        if not len(rows):
            return np.zeros(len(self.cases.lost)), np.tile(1 / (len(demanded) * demanded), (len(self.cases.lost), 1))
        config = self.candidates.config[rows]
        serves = np.stack([self.serves(case, self.candidates.select(rows)) for case in range(len(self.cases.lost))])
        factor = self.cases.factors[model][:, config] * serves[:, :, None]
        rate = self.candidates.tables[model].rate_req_per_s[config]
        return load_factors(rate, demanded, copies[rows], factor)

    def _add_cut(self, case: int, model: int, worth: Array) -> None:
        rate = self.candidates.tables[model].rate_req_per_s * self.cases.factors[model][case]
        self.cuts.append(_Cut(case, model, worth, (rate * worth).max(axis=1, initial=0.0)))

    def cut_off(self, found: list[tuple[Array, Array]], promised: float, most: int) -> int:
        """Add cuts of the cases that serve less than promised, the worst first; returns their number."""
        before = len(self.cuts)
        for model, (theta, worth) in enumerate(found):
            reached = theta / self.levels
            broken = np.flatnonzero(reached < promised * (1 - PROMISED))
            for case in broken[np.argsort(reached[broken], kind="stable")][:most]:
                self._add_cut(int(case), model, worth[case])
        return len(self.cuts) - before

    def serves(self, case: int, chosen: CandidateSet) -> Array:
        """Share of the time that each of the chosen candidates serves: a mean by the estimates, 1 or 0 in a draw."""
        return chosen.availability if case == 0 else (~chosen.stands_on(self.cases.lost[case])).astype(float)

    def gains(self, cut: _Cut, chosen: CandidateSet) -> Array:
        """g_c of the chosen candidates."""
        mine = chosen.model_index == cut.model
        gains = np.zeros(len(chosen))
        gains[mine] = cut.gains[chosen.config[mine]]
        return gains * self.serves(cut.case, chosen)

    # Programs over copies.

    def program_over(self, rows: Indices) -> tuple[Program, Layout]:
        """The program without assignments over the candidates at `rows`, with every cut so far."""
        chosen = self.candidates.select(rows)
        program, layout = build_program(self.problem, chosen, load_factor_unit=self.unit, pairs=NO_PAIRS)
        # Without assignments these rows would say that nobody is served.
        program.row_lower[program.rows_of("demand", "cover")] = -np.inf
        self.add_rows(program, layout, chosen, 0)
        return program, layout

    def add_rows(self, program: Program, layout: Layout, chosen: CandidateSet, first: int) -> None:
        """Add the cuts from the one numbered `first` on."""
        for cut in self.cuts[first:]:
            columns = np.append(layout.copies, layout.load_factor)
            values = np.append(self.gains(cut, chosen), -self.levels[cut.case])
            program.add_row("cut", "", columns, values, lower=0.0)

    def seconds_left(self) -> float:
        """Until the time limit [s]."""
        limit = self.problem.search.time_limit_s
        return np.inf if limit is None else limit - (perf_counter() - self.started)

    def _in_time(self) -> SearchOptions:
        """The options of the search with what is left of its time."""
        limit = self.problem.search.time_limit_s
        return within(self.problem.search, np.inf if limit is None else self.started + limit)

    # Copies in fractions.

    def relax(self, estimates: Pricing) -> Pricing | Termination:
        """Marginal values over all candidates, from those that lose least by the `estimates` and all that earn more."""
        rows = np.sort(np.argsort(estimates.loss, kind="stable")[:FIRST_CANDIDATES])
        while True:
            answer, program, layout = self._relax_over(rows)
            if not len(answer.x):
                if len(rows) == len(self.candidates):
                    return answer.termination
                rows = np.arange(len(self.candidates))
                continue
            pricing = self._pricing(answer, program, layout, rows)
            above = pricing.earned - pricing.charged * (1 + SAFETY)
            above[rows] = 0.0
            joining = np.argsort(-above, kind="stable")[:JOIN_AT_ONCE]
            joining = joining[above[joining] > 0]
            if not len(joining) or self.seconds_left() <= 0:
                return self._stretched(pricing, answer, program)
            rows = np.union1d(rows, joining)

    def _relax_over(self, rows: Indices) -> tuple[Answer, Program, Layout]:
        program, layout = self.program_over(rows)
        chosen = self.candidates.select(rows)
        most = max(FEWEST_CUTS, int(CUTS_PER_ROUND * len(self.cases.lost)))
        copies = np.zeros(len(self.candidates))
        while True:
            answer = solve(fractional(program, layout), self._in_time())
            if not len(answer.x):
                return answer, program, layout
            copies[rows] = answer.x[layout.copies]
            before = len(self.cuts)
            if not self.cut_off(self.evaluate(copies), float(answer.x[layout.load_factor]), most):
                return answer, program, layout
            if self.seconds_left() <= 0:  # what was cut off stays promised, so the bound holds all the same
                return answer, program, layout
            self.add_rows(program, layout, chosen, before)

    def _pricing(self, answer: Answer, program: Program, layout: Layout, rows: Indices) -> Pricing:
        """Shadow prices of the last relaxation, applied to every candidate."""
        duals = np.abs(answer.row_dual[program.rows_of("cut")])
        earned = np.zeros(len(self.candidates))
        mean = [np.zeros_like(factor[0]) for factor in self.cases.factors]  # rates weighed by what they are worth
        for dual, cut in zip(duals, self.cuts, strict=False):
            if dual > 0:
                earned += dual * self.gains(cut, self.candidates)
                mean[cut.model] += dual * cut.worth * self.cases.factors[cut.model][cut.case]
        first, best = 0, np.zeros(len(self.candidates), dtype=np.int64)
        for model, table in enumerate(self.candidates.tables):
            mine = self.candidates.model_index == model
            best[mine] = first + (table.rate_req_per_s * mean[model]).argmax(axis=1)[self.candidates.config[mine]]
            first += len(table.workloads)
        charged = self.candidates.per_gpu(charge_per_gpu(program, answer, self.problem.offers.offers))
        copies = np.zeros(len(self.candidates))
        copies[rows] = answer.x[layout.copies]
        return Pricing(earned, best, charged, answer.objective, copies, NO_PAIRS)

    def _stretched(self, pricing: Pricing, answer: Answer, program: Program) -> Pricing:
        """Prices at which no candidate is underpaid, and the bound that holds for them; the same but for rounding, or
        where the time was up before every candidate had joined.

        Notes       With r the largest earned over charged: throughput charges r times as much, the value of the
                    relaxation is r times as large; cost pays requests 1/r as much.
        """
        stretch = float((pricing.earned / np.maximum(pricing.charged, 1e-300)).max(initial=1.0))
        if self.problem.objective is Objective.THROUGHPUT:
            bound = stretch * pricing.objective + (stretch - 1) * COST_TIE_BREAK
            return replace(pricing, charged=pricing.charged * stretch, objective=bound)
        duals = np.abs(answer.row_dual[program.rows_of("cut")])
        levels = self.levels[[cut.case for cut in self.cuts[: len(duals)]]]
        paid = float(duals @ levels) * (1 + self.problem.aim.headroom)
        return replace(pricing, earned=pricing.earned / stretch, objective=pricing.objective - (1 - 1 / stretch) * paid)

    # Whole copies.

    def whole(self, pricing: Pricing) -> Found:
        """Over a core first, then over every candidate that a better plan may rent."""
        maximize = self.problem.objective is Objective.THROUGHPUT
        core = pricing.copies > 1e-9
        core[np.argsort(pricing.loss, kind="stable")[:CORE_SIZE]] = True
        nothing = _Best(np.zeros(0), -np.inf if maximize else np.inf, pricing.objective)
        best = self.rounds(np.flatnonzero(core), nothing, CORE_GAP)
        if best.stopped_by is not StopReason.INTERRUPTED:
            room = abs(pricing.objective - best.objective)
            slack = SAFETY * abs(pricing.objective)
            possible = np.flatnonzero(pricing.loss <= room + slack) if len(best.copies) else np.arange(len(core))
            order, size = possible[np.argsort(pricing.loss[possible], kind="stable")], MOST_POSSIBLE
            first, best = best.objective, self._over(order[:size], best, pricing)
            while best.is_searched and not len(best.copies) and size < len(order):  # what was left out may serve
                size *= WIDENING
                best = self._over(order[:size], best, pricing)
            # Plans with a candidate that was dropped are no better than the first.
            worst, complete = max if maximize else min, size >= len(order)
            covered = worst(best.bound, first) if complete else pricing.objective
            best = replace(best, bound=covered, is_searched=best.is_searched and complete)
        else:
            best = replace(best, bound=pricing.objective, is_searched=False)
        return self._found(best, pricing)

    def _over(self, rows: Indices, best: _Best, pricing: Pricing) -> _Best:
        """Rounds over `rows` and what is rented already, to the asked gap."""
        kept = np.union1d(rows, np.flatnonzero(best.copies)) if len(best.copies) else np.sort(rows)
        return self.rounds(kept, replace(best, bound=pricing.objective), self.problem.search.relative_gap)

    def rounds(self, rows: Indices, best: _Best, relative_gap: float) -> _Best:
        """Whole copies of the candidates at `rows`, until the promise is kept within the gap or the time is up."""
        program, layout = self.program_over(rows)
        chosen = self.candidates.select(rows)
        better = max if program.maximize else min
        best = replace(best, is_searched=False)
        while self.seconds_left() > 0:
            options = replace(self._in_time(), relative_gap=relative_gap / 2)
            try:
                answer = solve(program, options, start=best.copies[rows] if len(best.copies) else None)
                best = replace(best, bound=-better(-best.bound, -answer.bound), stopped_by=answer.stopped_by)
                if not len(answer.x):
                    return replace(best, is_searched=answer.termination is Termination.INFEASIBLE)
                copies = np.zeros(len(self.candidates))
                copies[rows] = np.round(answer.x[layout.copies])
                promised, before = float(answer.x[layout.load_factor]), len(self.cuts)
                found = self.evaluate(copies)
            except KeyboardInterrupt:
                if not len(best.copies):
                    raise
                return replace(best, stopped_by=StopReason.INTERRUPTED)
            reached = min(float((theta / self.levels).min()) for theta, _ in found)
            self._trust(copies, min(float(theta[0]) for theta, _ in found), promised, reached)
            objective = self._worth(answer, promised, reached)
            if better(objective, best.objective) != best.objective:
                best = replace(best, copies=copies, objective=objective)
            if answer.stopped_by is StopReason.INTERRUPTED or best.is_within(relative_gap):
                break
            if not self.cut_off(found, promised, len(self.cases.lost)):
                return replace(best, is_searched=answer.termination is Termination.OPTIMAL)
            self.add_rows(program, layout, chosen, before)
        return best

    def _trust(self, copies: Array, estimated: float, promised: float, reached: float) -> None:
        """Remember copies that serve by the estimates, in case there is nothing better when the search is stopped."""
        if estimated >= promised * (1 - PROMISED) and reached > self.trusted.worst:
            self.trusted.copies, self.trusted.worst = copies, reached

    def _worth(self, answer: Answer, promised: float, served: float) -> float:
        """The objective with what the copies serve in place of what they promise."""
        if self.problem.objective is Objective.COST:
            return answer.objective if served >= promised * (1 - PROMISED) else np.inf
        return answer.objective - promised + served if served > NOBODY_SERVED else -np.inf

    def _found(self, best: _Best, pricing: Pricing) -> Found:
        rows = np.flatnonzero(best.copies) if len(best.copies) else np.zeros(0, dtype=np.int64)
        program, layout = build_program(self.problem, self.candidates.select(rows), load_factor_unit=self.unit)
        seconds = perf_counter() - self.started
        if not len(rows):
            if best.is_searched:
                return nothing(Termination.INFEASIBLE, self.problem, self.candidates, self.unit)
            late = StopReason.TIME_LIMIT if self.seconds_left() <= 0 else StopReason.NUMERICAL_TROUBLE
            reason = best.stopped_by or late
            return nothing(Termination.NOTHING_FOUND, self.problem, self.candidates, self.unit, reason=reason)
        x = np.zeros(layout.size)
        x[layout.copies] = best.copies[rows]
        is_proven = best.is_within(self.problem.search.relative_gap)
        termination = Termination.OPTIMAL if is_proven else Termination.FEASIBLE
        no_time = StopReason.TIME_LIMIT if self.seconds_left() <= 0 else None
        ended_by = None if is_proven else best.stopped_by or no_time
        answer = Answer(termination, x, best.objective, best.bound, np.zeros(0), seconds, ended_by)
        return Found(rows, program, layout, answer, pricing)
