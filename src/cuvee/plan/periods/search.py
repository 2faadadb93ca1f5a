"""The search for a day: each period alone, then one or two at a time beside the others, then a proof where it pays.

1. Each period alone, the highest first: its cheapest fleet, its bound, its prices of every candidate. The fleet of the
   highest period, held all day, is the best constant plan. The bounds, weighed by hours, bound the day.
2. From the best fleet of each period, or else the constant one: the fleet of one period, later of two neighbours, is
   chosen anew while the others stay, over the candidates that some period rents or nearly would, round by round until
   nothing helps.
3. All periods together over every candidate that a cheaper day could rent, as the prices of step 1 prove, where those
   are few: the bound of this program holds for all others.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates.placement import usable_gpus
from cuvee.plan.outcome.result import Plan
from cuvee.plan.periods.program import DayLayout, build_day_program
from cuvee.plan.periods.reading import DayQuestion, read_day, read_fleet
from cuvee.plan.periods.result import PeriodPlan
from cuvee.plan.program.contingency import Contingency
from cuvee.plan.program.machine_losses import MachineLoss
from cuvee.plan.question.problem import PlanProblem, SearchOptions
from cuvee.plan.search.best_so_far import Found
from cuvee.plan.search.losses import Broken, broken_by, demanded, undominated_of
from cuvee.plan.search.search import SAFETY, SHORTLIST, search
from cuvee.plan.solver.program import Answer, Array, Indices, Program, StopReason, Termination, solve
from cuvee.units import HOURS_PER_DAY, SECONDS_PER_HOUR

NEAR = 15
"""Candidates beside those rented that each period brings in [-]; twice as many find no better day on the paper's
stocks, in twice the time."""

AT_A_TIME = (1, 2)
"""Neighbouring periods chosen anew together [-], one way after the other."""

MOST_PAIRS = 400
"""Pairs of candidate and period up to which the whole program is tried [-]: above, it proves nothing in minutes."""


@dataclass
class _Best:
    """The best copies so far, shape (num_periods, num_candidates), what they cost, and what is proven."""

    copies: NDArray[np.int64]
    usd_per_day: float
    bound_usd_per_day: float | None = None


class DaySearch:
    """The search for one day, and what it knows so far."""

    def __init__(self, question: DayQuestion, progress: Callable[[str], None]) -> None:
        self.question, self.progress = question, progress
        self.candidates = question.prepared.candidates
        self.started = perf_counter()
        self.found: dict[float, Found] = {}  # by demanded rate
        self.interrupted = False  # in the solver, which ends with what it has
        self.contingencies: list[Contingency | MachineLoss] = []  # losses that some fleet did not stand
        startup_h = self._startup_s() / SECONDS_PER_HOUR
        models = len(question.prepared.problem.models)
        # Idle GPUs of whole machines are paid and start nothing: rent may then rise without a start.
        offers = question.prepared.problem.offers.offers
        self.usable = np.array([usable_gpus(offer) for offer in offers])
        self.unit_price = np.array([offer.price_usd_per_hour for offer in offers])
        machines = any(offer.num_gpus > 1 and offer.max_units > 0 for offer in offers)
        self.least_startup_h = 0.0 if machines else float(min(startup_h.min(initial=np.inf), question.hours.min()))
        price = self.candidates.price_usd_per_hour
        one_time = all(len(np.unique(startup_h[self.candidates.model_index == index])) <= 1 for index in range(models))
        self.starts_by_price = question.start_up.fee_usd == 0 and one_time
        self.start_usd: Array = startup_h * price + question.start_up.fee_usd

    def _startup_s(self) -> Array:
        """tau of each candidate [s], shape (num_candidates,)."""
        seconds = np.zeros(len(self.candidates))
        for index, entry in enumerate(self.question.prepared.problem.models):
            of = {name: self.question.start_up.seconds_of(entry.model, name) for name in entry.precisions}
            table = self.candidates.tables[index]
            configs = np.array([of[config.precision] for config in table.configs] if len(of) > 1 else [*of.values()])
            mine = self.candidates.model_index == index
            seconds[mine] = configs[self.candidates.config[mine]] if len(of) > 1 else configs
        return seconds

    def run(self) -> PeriodPlan | None:
        """The cheapest day found; None where the highest period has no fleet."""
        question = self.question
        self.progress("the highest period, whose fleet is the constant plan")
        if not len(self.candidates):
            return None
        found = self._search(question.peak, share=0.3)
        if not len(found.answer.x):
            return None
        copies = self._copies(found)
        constant = read_fleet(question, question.peak, copies, found.answer.bound)
        best = _Best(np.tile(copies, (len(question.periods), 1)), constant.cost_usd_per_hour * HOURS_PER_DAY)
        # Interrupted: what is left is to write down the best so far.
        with suppress(KeyboardInterrupt):
            self._improve(best)
        return self._read(best, constant)

    def _read(self, best: _Best, constant: Plan) -> PeriodPlan:
        bounds = [self._bound(problem) for problem in self.question.problems]
        floor = max(self._floor(), best.bound_usd_per_day or 0.0)
        known = [bound for bound in bounds if bound is not None]
        return read_day(
            self.question,
            best.copies,
            constant,
            bounds,
            bound_usd_per_day=floor if floor > 0 else None,
            elastic_usd_per_day=float(self.question.hours @ known) if len(known) == len(bounds) else None,
            seconds=perf_counter() - self.started,
        )

    def _improve(self, best: _Best) -> None:
        """Make `best` better as long as time allows; each step leaves it with a day and a bound that hold."""
        question, num_periods = self.question, len(self.question.periods)
        order = np.argsort([-period.rate_req_per_s for period in question.periods], kind="stable")
        for rank, period in enumerate(order.tolist(), start=1):
            self.progress(f"period {rank} of {num_periods} alone: {question.periods[period].label}")
            self._search(period, share=0.5 / (num_periods - rank + 1))
        if num_periods == 1:
            return
        self.progress("from the best fleet of each period")
        alone = np.array([self._copies(self._search(period, share=0.0)) for period in range(num_periods)])
        nothing, everything = np.zeros(num_periods, dtype=bool), np.ones(num_periods, dtype=bool)
        self._improve_over(alone > 0, best, alone, nothing, share=0.1)
        self._choose_anew(best)
        possible = self._possible(best)
        if possible.sum() > MOST_PAIRS:
            return
        self.progress(f"proof over {possible.sum()} choices (Ctrl-C keeps the best so far)")
        answer = self._improve_over(possible, best, best.copies, everything, share=1.0)
        if len(answer.x):
            best.bound_usd_per_day = min(answer.bound, best.usd_per_day)

    def _choose_anew(self, best: _Best) -> None:
        """Choose fleets of one or two neighbouring periods beside the others until nothing helps."""
        num_periods = len(self.question.periods)
        near = np.tile(self._near(), (num_periods, 1))
        for width in AT_A_TIME:
            before = np.inf
            while width <= num_periods and best.usd_per_day < before * (1 - SAFETY):
                before = best.usd_per_day
                for first in range(num_periods):
                    self.progress(f"fleets beside each other, {before:.2f} $/day (Ctrl-C keeps the best so far)")
                    free = np.isin(np.arange(num_periods), (first + np.arange(width)) % num_periods)
                    self._improve_over(near, best, best.copies, free, share=0.1)

    def _search(self, period: int, *, share: float) -> Found:
        """The cheapest fleet of one period, in a share of the time that is left."""
        problem = self.question.problems[period]
        rate = _rate(problem)
        while rate not in self.found:
            if self.interrupted:
                raise KeyboardInterrupt
            timed = replace(problem, search=self._in_time(problem.search, share))
            found = search(timed, self.candidates, self.contingencies)
            self.interrupted = found.answer.stopped_by is StopReason.INTERRUPTED
            broken = self._broken({period: self._copies(found)}) if len(found.answer.x) else Broken()
            if broken.doubt:
                nothing = Termination.NOTHING_FOUND
                answer = replace(found.answer, termination=nothing, x=np.zeros(0), stopped_by=broken.doubt)
                found = replace(found, answer=answer)
            if not broken.losses:
                self.found[rate] = found
        return self.found[rate]

    def _broken(self, fleets: Mapping[int, NDArray[np.int64]]) -> Broken:
        """The losses that fleets, by their period, do not stand; they become contingencies."""
        before, doubt = len(self.contingencies), None
        limit_s = self.question.prepared.problem.search.time_limit_s
        deadline = np.inf if limit_s is None else self.started + limit_s
        for period, copies in fleets.items():
            problem, known = self.question.problems[period], self.contingencies
            broken = broken_by(problem, self.candidates, copies, demanded(problem), known, deadline=deadline)
            self.contingencies += broken.losses
            doubt = doubt or broken.doubt
        losses = tuple(self.contingencies[before:])
        return Broken(losses, None if losses else doubt)

    def _bound(self, problem: PlanProblem) -> float | None:
        """b: no fleet of the period alone costs less [$/h]; None where that is not known."""
        found = self.found.get(_rate(problem))
        return None if found is None or not np.isfinite(found.answer.bound) else found.answer.bound

    def _bounds(self) -> Array:
        """b of each period [$/h], shape (num_periods,): 0 where nothing is known, which holds as well."""
        return np.array([self._bound(problem) or 0.0 for problem in self.question.problems])

    def _floor(self) -> float:
        """No day costs less [$/day], by what is known of each period alone."""
        return day_bound(self._bounds(), self.question.hours, self.least_startup_h)

    def _in_time(self, options: SearchOptions, share: float) -> SearchOptions:
        if options.time_limit_s is None:
            return options
        left_s = options.time_limit_s - (perf_counter() - self.started)
        return replace(options, time_limit_s=max(share * left_s, 1e-3))

    def _copies(self, found: Found) -> NDArray[np.int64]:
        copies = np.zeros(len(self.candidates), dtype=np.int64)
        if not len(found.answer.x):
            return copies
        copies[found.rows] = np.round(found.answer.x[: len(found.rows)]).astype(np.int64)
        return copies

    def _near(self) -> NDArray[np.bool_]:
        """Candidates that some period rents, or would for a little less."""
        near = np.zeros(len(self.candidates), dtype=bool)
        for found in self.found.values():
            near |= self._copies(found) > 0 if len(found.answer.x) else False
            if found.pricing is not None:
                near |= found.pricing.copies > 1e-9
                nearest = np.argsort(found.pricing.loss, kind="stable")[: SHORTLIST * NEAR]
                near[
                    undominated_of(nearest, self.candidates, self.question.prepared.problem, self.contingencies)[:NEAR]
                ] = True
        return near

    def _possible(self, best: _Best) -> NDArray[np.bool_]:
        """What each period may rent in a day cheaper than `best`, and what it does rent in `best`.

        Notes       A copy of c makes period p cost LP_p + loss_c or more, by weak duality, and the day cost the more:
                    `_floor` + (H_p - tau) (LP_p + loss_c - b_p), as `day_bound` grows by H_p - tau or more a dollar.
                    Those that others replace at no higher price are left out, where a start costs by price alone.
        """
        question, possible = self.question, np.zeros_like(best.copies, dtype=bool)
        room = best.usd_per_day * (1 + SAFETY) - self._floor()
        for period, (hours, bound) in enumerate(zip(question.hours, self._bounds(), strict=True)):
            found = self._search(period, share=0.0)
            if found.pricing is None:
                possible[period] = True
                continue
            dearer = found.pricing.objective + found.pricing.loss - bound
            possible[period] = (hours - self.least_startup_h) * np.maximum(dearer, 0.0) <= room
        if self.starts_by_price:
            rows = np.flatnonzero(possible.any(axis=0))
            kept = undominated_of(rows, self.candidates, question.prepared.problem, self.contingencies)
            possible &= np.isin(np.arange(len(self.candidates)), kept)
        return np.asarray(possible | (best.copies > 0))

    def _improve_over(
        self,
        allowed: NDArray[np.bool_],
        best: _Best,
        copies: NDArray[np.int64],
        free: NDArray[np.bool_],
        *,
        share: float,
    ) -> Answer:
        """Make `best` the cheapest day from `copies` on, where it is cheaper.

        Parameters
            allowed    Candidates of each period, shape (num_periods, num_candidates).
            free       Periods whose fleet may change, shape (num_periods,).
            share      Of the time that is left [-].
        """
        kept = np.flatnonzero(allowed.any(axis=0))
        if self.interrupted:
            raise KeyboardInterrupt
        while True:
            program, places = self._program(allowed, kept)
            known, held = copies[:, kept].astype(np.float64), places.copies[~free]
            program.lower[held] = program.upper[held] = known[~free]
            options = self._in_time(self.question.prepared.problem.search, share)
            answer = solve(program, options, start=known.ravel())
            if not len(answer.x):
                return answer
            found = np.zeros_like(best.copies)
            found[:, kept] = np.round(answer.x[places.copies])
            broken = self._broken(dict(enumerate(found)))
            if broken.doubt:
                return answer
            if broken.nothing:
                break
        usd_per_day = self._usd_per_day(found)
        if usd_per_day < best.usd_per_day:
            best.copies, best.usd_per_day = found, usd_per_day
        return answer

    def _program(self, allowed: NDArray[np.bool_], kept: Indices) -> tuple[Program, DayLayout]:
        """The program of the day over the candidates `kept`, of which each period may rent those `allowed`."""
        question = self.question
        return build_day_program(
            question.problems,
            question.hours,
            self.candidates.select(kept),
            self.start_usd[kept],
            allowed=allowed[:, kept],
            bounds_usd_per_hour=self._bounds() * (1 - SAFETY),
            contingencies=[contingency.select(kept) for contingency in self.contingencies],
        )

    def _usd_per_day(self, copies: NDArray[np.int64]) -> float:
        """Rent and starts of a day."""
        taken = np.array([self.candidates.gpus_taken(fleet, len(self.usable)) for fleet in copies])
        rents = np.ceil(taken / self.usable) @ self.unit_price
        started = np.maximum(copies - np.roll(copies, 1, axis=0), 0).sum(axis=0)
        return float(self.question.hours @ rents + self.start_usd @ started)


def _rate(problem: PlanProblem) -> float:
    return sum(map(sum, problem.rates_req_per_s))


def day_bound(bounds_usd_per_hour: Array, hours: Array, startup_h: float) -> float:
    """No day costs less [$/day]: sum_p H_p b_p + tau sum_p max(0, b_p - b_(p-1)).

    Parameters
        bounds_usd_per_hour    b_p: no fleet of the period alone costs less [$/h], shape (num_periods,).
        startup_h              tau: each start costs its replica's price for at least as long [h]; at most any H_p.
    Notes                      With r_p the rent of period p, starts cost at least tau max(0, r_p - r_(p-1)), where all
                               rent is for replicas. The sum grows with each r_p, since H_p >= tau; so r_p = b_p is
                               its least.
    """
    rise = np.maximum(bounds_usd_per_hour - np.roll(bounds_usd_per_hour, 1), 0.0)
    return float(hours @ bounds_usd_per_hour + startup_h * rise.sum())
