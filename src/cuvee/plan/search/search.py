"""The search: a good plan over few candidates first, then proof over those that could still beat it.

1. Price every candidate by the relaxation. Its value bounds every plan.
2. Solve over the core: candidates the relaxation rents, and those nearest to being worth their price.
3. Of the throughput of several models, ask whether any fleet is better than that plan by more than the asked gap, as a
   question of money: see `targets`. Often that is the proof.
4. Drop each candidate whose mere presence costs more than the relaxation is above the plan found: by weak duality
   no better plan rents it. Solve over the rest, starting from the plan found.

The result is optimal over all candidates: those dropped cannot be part of anything better, and the bound of the last
program holds for all others. Usually a tenth of the candidates is left.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

import numpy as np

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.program.contingency import Losses, build_with, contingencies_of
from cuvee.plan.program.formulation import COST_TIE_BREAK, build_program, define_links, rough_load_factor
from cuvee.plan.question.aim import Serve
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.search.best_so_far import NOBODY_SERVED, Found, SoFar, best_so_far, nothing, stopped
from cuvee.plan.search.losses import undominated_of
from cuvee.plan.search.lot_fleet import search_lots
from cuvee.plan.search.lots import Alike, Lots, classes_of, lots_of
from cuvee.plan.search.pricing import Pricing, price
from cuvee.plan.search.projection import Fleet, Projected, proven, search_copies
from cuvee.plan.search.targets import Target, beyond
from cuvee.plan.search.thrift import spent_least
from cuvee.plan.solver.program import Answer, Array, Indices, StopReason, Termination, solve, within

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

MOST_CORE_PAIRS = 3_000
"""Pairs up to which assignments are columns of the first program [-]."""

MOST_TOLD_APART = 20_000
"""Candidates up to which each is searched by itself, however alike [-]."""

LEAST_ALIKE = 4
"""Candidates of a kind, in the mean, from which kinds are searched in their place [-]."""

WIDENING = (100, 500, 2_000)
"""Candidates that the programs over copies alone may have, one after the other [-]."""

WIDENING_S = 4.0
"""Solver time of each of them but the last [s]."""

SAFETY = 1e-6
"""Relative slack when a candidate is dropped [-]: the shadow prices carry the solver's own tolerance."""

LEAST_GAP = 10 * SAFETY
"""Gap from which it is asked whether any fleet is better by so much [-]: less is lost in the solver's tolerance."""

TARGET_S = 10.0
"""Solver time for whether any fleet serves more than the asked gap above the best so far [s]."""


def search(
    problem: PlanProblem,
    candidates: CandidateSet,
    contingencies: Losses = (),
    *,
    known: Array | None = None,
    beat: float | None = None,
) -> Found:
    """The best plan over `candidates`, of which there is at least one, that stands all `contingencies`.

    Parameters
        known    Copies of a plan to start from, shape (num_candidates,).
        beat     Objective that the relaxation must promise to beat by more than the asked gap [req/s or $/h]: else the
                 search ends with its bound and without a plan.
    Notes           The time limit holds for all steps together. A search that is stopped, by it or by Ctrl-C, ends with
                    the best plan so far and what is proven of it: see `best_so_far`.
    """
    started = perf_counter()
    deadline = np.inf if problem.search.time_limit_s is None else started + problem.search.time_limit_s
    so_far = SoFar(rough_load_factor(problem, candidates))
    try:
        found = _searched(problem, candidates, contingencies, known, beat, deadline, so_far)
        if problem.objective is Objective.THROUGHPUT and len(found.answer.x) and not candidates.is_kept.any():
            so_far.found = found
            found = spent_least(found, problem, candidates, contingencies, so_far.unit, deadline)
    except KeyboardInterrupt:
        found = so_far.found or nothing(Termination.NOTHING_FOUND, problem, candidates, so_far.unit)
        found = replace(found, answer=replace(found.answer, stopped_by=StopReason.INTERRUPTED))
    reason = found.answer.stopped_by
    if reason is not None and so_far.found is None:
        found = best_so_far(problem, candidates, contingencies, so_far, found, reason)
    # What is proven was not stopped, even where Ctrl-C came in its last moment.
    reason = None if found.answer.termination is Termination.OPTIMAL else found.answer.stopped_by
    return replace(found, answer=replace(found.answer, stopped_by=reason, seconds=perf_counter() - started))


def _searched(
    problem: PlanProblem,
    candidates: CandidateSet,
    contingencies: Losses,
    known: Array | None,
    beat: float | None,
    deadline: float,
    so_far: SoFar,
) -> Found:
    pricing = _priced(problem, candidates, contingencies, deadline, so_far)
    unit = so_far.unit
    if isinstance(pricing, Pricing) and problem.objective is Objective.THROUGHPUT:
        pricing = pricing if pricing.objective > NOBODY_SERVED else Termination.INFEASIBLE
    if pricing is Termination.INFEASIBLE:  # even the relaxation has no plan
        return nothing(pricing, problem, candidates, unit)
    if isinstance(pricing, Termination):
        late = perf_counter() >= deadline
        reason = StopReason.TIME_LIMIT if late else StopReason.NUMERICAL_TROUBLE
        return nothing(Termination.NOTHING_FOUND, problem, candidates, unit, reason=reason)
    if beat is not None and not _promises(pricing, beat, problem, unit):
        return nothing(Termination.NOTHING_FOUND, problem, candidates, unit, pricing.objective)
    run = _Search(problem, candidates, contingencies, unit, pricing, deadline, so_far)
    everything = np.arange(len(candidates))
    return run.over(everything, start=known) if len(candidates) <= CORE_SIZE else run.from_core(known)


def _promises(pricing: Pricing, beat: float, problem: PlanProblem, unit: float) -> bool:
    """Whether the relaxation is better than `beat` by more than the asked gap."""
    margin = problem.search.relative_gap * beat
    if problem.objective is Objective.COST:
        return pricing.objective < beat - margin
    return (pricing.objective + COST_TIE_BREAK) * unit * sum(map(sum, problem.rates_req_per_s)) > beat + margin


def _priced(
    problem: PlanProblem,
    candidates: CandidateSet,
    contingencies: Losses,
    deadline: float,
    so_far: SoFar,
) -> Pricing | Termination:
    """The marginal values, theta counted in a unit in which it is near 1."""
    plain = contingencies_of(contingencies)
    pricing = price(problem, candidates, so_far.unit, plain, deadline=deadline, keep=so_far.keep)
    if problem.objective is Objective.COST or problem.ends_at_the_demand or isinstance(pricing, Termination):
        return pricing
    if not NOBODY_SERVED < pricing.objective < SMALL_LOAD_FACTOR:
        return pricing
    so_far.unit, so_far.pricing = so_far.unit * pricing.objective, None
    return price(problem, candidates, so_far.unit, plain, deadline=deadline, keep=so_far.keep)


@dataclass(frozen=True, eq=False)
class _Search:
    """One search, once every candidate has its price."""

    problem: PlanProblem
    candidates: CandidateSet
    contingencies: Losses
    unit: float
    pricing: Pricing
    deadline: float
    so_far: SoFar

    @property
    def maximize(self) -> bool:
        return self.problem.objective is Objective.THROUGHPUT

    @property
    def _projectable(self) -> bool:
        """Whether what copies serve is a matter of each model alone."""
        plain = self.problem.aim.serve is Serve.MIX and not self.problem.risk.max_share
        return plain and not self.contingencies

    @property
    def _are_many_alike(self) -> bool:
        """Whether a least-cost search may leave open which of many offers a replica stands on, and that helps."""
        told_apart = self.candidates.is_kept.any() or self.candidates.start_usd_per_hour.any()
        few = self.maximize or not self._projectable or len(self.candidates) <= MOST_TOLD_APART
        if few or told_apart or self.candidates.pools is not None:
            return False
        return bool(len(self.alike[1]) * LEAST_ALIKE <= len(self.candidates))

    @cached_property
    def alike(self) -> tuple[Lots, Alike]:
        """The lots of the offers, and the candidates that are alike on them."""
        lots = lots_of(self.problem, self.candidates)
        return lots, Alike.of(self.candidates, classes_of(self.candidates, lots))

    def from_core(self, known: Array | None = None) -> Found:
        """A plan over few candidates, from that of copies `known` on, then the best over all that could be better."""
        if known is None and self._are_many_alike:
            found = self._over_lots()
            done = found is not None and found.answer.termination is Termination.OPTIMAL
            if found is not None and (done or found.answer.stopped_by is StopReason.INTERRUPTED):
                return found
            if perf_counter() >= self.deadline:
                return found or self._without_copies(StopReason.TIME_LIMIT)
            known = None if found is None else self._copies(found)
        size, core = CORE_SIZE, self._core(CORE_SIZE)
        if known is not None:
            core = np.union1d(core, np.flatnonzero(known))
        first = self.over(core, relative_gap=CORE_GAP, start=known)
        # A small core may be unable to serve the demand.
        while first.answer.termination is Termination.INFEASIBLE and size < len(self.candidates):
            size *= CORE_GROWTH
            core = self._core(size)
            if self._projectable and len(self._within_pairs(core, MOST_CORE_PAIRS)) < len(core):
                return self._over_copies(self._nothing)
            first = self.over(core, relative_gap=CORE_GAP)
        if first.answer.termination is not Termination.OPTIMAL or first.answer.stopped_by is not None:
            return self._stopped(first, first.answer.stopped_by) if len(first.answer.x) else first
        self.so_far.found = self._stopped(first, StopReason.TIME_LIMIT)
        return self.so_far.found if perf_counter() >= self.deadline else self._proven(first)

    def _proven(self, first: Found) -> Found:
        """The best plan over all candidates that could be better than `first`."""
        best = self._beyond(Projected(self._copies(first), first.answer.objective, self.pricing.objective))
        self._keep(best)
        if proven(best, self.problem) or best.stopped_by is not None:
            return self._of_copies(best)
        possible = self._undominated(self._possible(best.objective))
        some = self._within_pairs(possible, MOST_PAIRS)
        if len(some) < len(possible) and self._projectable:
            return self._over_copies(best)
        last = self.over(np.union1d(some, np.flatnonzero(best.copies)), start=best.copies)
        if not len(last.answer.x):
            reason = last.answer.stopped_by or StopReason.NUMERICAL_TROUBLE
            return self._of_copies(replace(best, stopped_by=reason))
        if len(some) < len(possible):
            return replace(last, answer=self._judged(last.answer, best.bound))
        # Plans with a dropped candidate are no better than the one before: the bound must cover those too.
        return replace(last, answer=replace(last.answer, bound=self._worse(last.answer.bound, best.objective)))

    def over(self, rows: Indices, *, relative_gap: float | None = None, start: Array | None = None) -> Found:
        """Solve over the candidates at `rows`, in what is left of the time, starting from the copies `start` of all."""
        rows = np.union1d(rows, np.flatnonzero(self.candidates.is_kept))  # what runs must be kept or taken away
        cases = [contingency.select(rows) for contingency in self.contingencies]
        program, layout = build_with(cases, self.problem, self.candidates.select(rows), load_factor_unit=self.unit)
        if not self.maximize:
            define_links(program, layout, self.problem.aim.headroom)
        options = self.problem.search
        options = options if relative_gap is None else replace(options, relative_gap=relative_gap)
        copies = None if start is None else start[rows]
        return Found(rows, program, layout, solve(program, within(options, self.deadline), start=copies), self.pricing)

    def _worse(self, first: float, second: float) -> float:
        """The bound that both claims leave."""
        return max(first, second) if self.maximize else min(first, second)

    def _tighter(self, first: float, second: float) -> float:
        """The bound that two claims make together."""
        return min(first, second) if self.maximize else max(first, second)

    def _copies(self, found: Found) -> Array:
        """Whole copies of a plan, over all candidates."""
        copies = np.zeros(len(self.candidates))
        copies[found.rows] = np.round(found.answer.x[found.layout.copies])
        return copies

    def _core(self, size: int) -> Indices:
        """What the relaxation rents, and the candidates nearest to being worth their price that no others replace."""
        core = self.pricing.copies > 1e-9
        core[self._nearest(size)] = True
        return np.flatnonzero(core)

    def _nearest(self, size: int) -> Indices:
        nearest = np.argsort(self.pricing.loss, kind="stable")[: SHORTLIST * size]
        return self._undominated(nearest)[:size]

    def _undominated(self, rows: Indices) -> Indices:
        return undominated_of(rows, self.candidates, self.problem, self.contingencies)

    def _possible(self, value: float) -> Indices:
        """Candidates that a plan better than `value` may rent."""
        bound = self.pricing.objective
        room = (bound - value) * (1 if self.maximize else -1)
        return np.flatnonzero(self.pricing.loss <= max(room, 0.0) + SAFETY * max(abs(bound), abs(value)))

    def _within_pairs(self, rows: Indices, most: int) -> Indices:
        """As many of `rows`, nearest to their price first, as have no more pairs than `most`."""
        order = rows[np.argsort(self.pricing.loss[rows], kind="stable")]
        widths = np.array([len(table.workloads) for table in self.candidates.tables])
        pairs = np.cumsum(widths[self.candidates.model_index[order]]) * (1 + len(contingencies_of(self.contingencies)))
        return np.sort(order[pairs <= most])

    @property
    def _nothing(self) -> Projected:
        """No copies, which no plan is worse than."""
        worst = -np.inf if self.maximize else np.inf
        return Projected(np.zeros(len(self.candidates)), worst, self.pricing.objective)

    def _over_copies(self, best: Projected) -> Found:
        """Solve without a column for each assignment: over few candidates first, then over all that are possible."""
        for size in WIDENING:
            possible = self._possible(best.objective)
            possible = self._undominated(possible) if len(possible) <= SHORTLIST * WIDENING[-1] else possible
            complete = len(possible) <= size
            chosen_before = np.flatnonzero((best.copies > 0) | self.candidates.is_kept)
            kept = np.union1d(possible if complete else self._core(size), chosen_before)
            last = complete or size == WIDENING[-1]
            until = self.deadline if last else min(self.deadline, perf_counter() + WIDENING_S)
            start = replace(best, copies=best.copies[kept])
            chosen, relaxed = self.candidates.select(kept), self.pricing.copies[kept]
            found = search_copies(Fleet(self.problem, chosen, self.unit), start, relaxed, until)
            # What was left out is covered by the relaxation or, where no better plan can rent it, by the plan before.
            bound = self._worse(found.bound, best.objective) if complete else self.pricing.objective
            copies = np.zeros(len(self.candidates))
            copies[kept] = found.copies
            best = replace(found, copies=copies, bound=self._tighter(bound, best.bound))
            self._keep(best)
            best = self._beyond(best)
            self._keep(best)
            interrupted = best.stopped_by is StopReason.INTERRUPTED
            if last or interrupted or perf_counter() >= self.deadline or proven(best, self.problem):
                break
        if not np.isfinite(best.objective) and best.bound == best.objective:
            return nothing(Termination.INFEASIBLE, self.problem, self.candidates, self.unit)
        return self._of_copies(best) if np.isfinite(best.objective) else self._without_copies(best.stopped_by)

    def _beyond(self, best: Projected) -> Projected:
        """`best` or a better fleet, with the proof that none is much better where few candidates could be of one."""
        moving = self.candidates.is_kept.any() or self.candidates.start_usd_per_hour.any()
        apart = self._projectable and len(self.problem.models) > 1 and self.candidates.pools is None
        asked = self.problem.search.relative_gap >= LEAST_GAP and np.isfinite(best.objective)
        if not self.maximize or not apart or moving or not asked or self.pricing.per_dollar <= 0:
            return best
        return beyond(best, self._target, self.problem.search, min(self.deadline, perf_counter() + TARGET_S))

    def _target(self, load_factor: float, until: float) -> Target | None:
        """Whether any fleet serves `load_factor`, over the candidates that it could be of; None where they are many."""
        rows = self._possible(load_factor)
        rows = self._undominated(rows) if len(rows) <= SHORTLIST * WIDENING[0] else rows
        if len(self._within_pairs(rows, MOST_PAIRS)) < len(rows):
            return None
        charged = self.pricing.charged[rows] / self.pricing.per_dollar
        return Target(self.problem, self.candidates, self.unit, load_factor, rows, charged, until)

    def _over_lots(self) -> Found | None:
        """Solve over copies of replicas that are alike; None where no copies that were found could be put on offers."""
        lots, alike = self.alike
        best = search_lots(
            self.problem, self.candidates, self.unit, self.pricing, lots, alike, self.deadline, self._keep
        )
        return self._of_copies(best) if np.isfinite(best.objective) else None

    def _keep(self, best: Projected) -> None:
        """Remember a plan, should the search be interrupted."""
        if np.isfinite(best.objective):
            self.so_far.found = self._of_copies(best)

    def _of_copies(self, best: Projected) -> Found:
        """The copies of `best` as columns of the whole program, its assignment left open."""
        rows = np.flatnonzero(best.copies)
        program, layout = build_program(self.problem, self.candidates.select(rows), load_factor_unit=self.unit)
        x = np.zeros(layout.size)
        x[layout.copies] = best.copies[rows]
        answer = Answer(Termination.FEASIBLE, x, best.objective, best.bound, np.zeros(0), 0.0, best.stopped_by)
        return Found(rows, program, layout, self._judged(answer, best.bound), self.pricing)

    def _without_copies(self, reason: StopReason | None) -> Found:
        """Stopped before there was any plan."""
        reason = reason or StopReason.NUMERICAL_TROUBLE
        bound = self.pricing.objective
        found = nothing(Termination.NOTHING_FOUND, self.problem, self.candidates, self.unit, bound, reason)
        return replace(found, pricing=self.pricing)

    def _judged(self, answer: Answer, bound: float) -> Answer:
        """`answer` under another bound: proven, or not."""
        within_gap = abs(bound - answer.objective) <= self.problem.search.relative_gap * abs(answer.objective)
        if within_gap:
            return replace(answer, bound=bound, termination=Termination.OPTIMAL, stopped_by=None)
        return replace(answer, bound=bound, termination=Termination.FEASIBLE)

    def _stopped(self, found: Found, reason: StopReason | None) -> Found:
        """A plan that nothing better than the relaxation proves."""
        return stopped(found, self.pricing.objective, reason)
