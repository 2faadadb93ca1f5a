"""Fleets by lots: copies of replicas that are alike, and the offers they are packed onto afterwards.

Where thousands of offers differ in price and number alone, which of them a replica stands on is settled last: the
program counts copies per lot and rents GPUs of the lot's offers, the cheapest first. `LotFleet.placed` then puts every
copy on an offer with room for all of it. What a fleet costs is what it costs so placed.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from time import perf_counter

import numpy as np

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.candidates.placement import usable_gpus
from cuvee.plan.program.formulation import define_budget, define_caps, define_objective
from cuvee.plan.program.layout import NOBODY, Layout, make_layout
from cuvee.plan.question.problem import PlanProblem
from cuvee.plan.search.lots import Alike, Lots, lend
from cuvee.plan.search.pricing import Pricing
from cuvee.plan.search.projection import Fleet, Projected, proven, search_copies
from cuvee.plan.solver.program import Array, Indices, Program, StopReason

KINDS = (500, 2_000)
"""Kinds beside those of the relaxation that the programs over kinds may have, one after the other [-]."""

TIMES_RELAXED = 1.5
"""GPUs of a lot that the program may rent, over those that the relaxation takes of it [-]."""

SPARE_GPUS = 32
"""GPUs that it may rent of each lot beside [-]."""


class LotFleet(Fleet):
    """The program over copies of some kinds of alike candidates, each standing for all of its kind.

    Parameters
        everyone    All candidates.
        relaxed     Fractional copies of them in the relaxation.
        kinds       The kinds searched, as indices into `alike`.
    """

    def __init__(
        self,
        problem: PlanProblem,
        everyone: CandidateSet,
        unit: float,
        relaxed: Array,
        lots: Lots,
        alike: Alike,
        kinds: Indices,
    ) -> None:
        self.everyone, self.relaxed, self.lots = everyone, relaxed, lots
        self.rows = [alike.rows(kind) for kind in kinds.tolist()]
        offers = problem.offers.offers
        self.usable = np.array([*(usable_gpus(offer) for offer in offers), 1])
        self.room = np.array([*(offer.max_units for offer in offers), 2**40]) * self.usable  # the last: offer -1
        self.price_usd_per_hour = np.array([*(offer.price_usd_per_hour for offer in offers), 0.0])  # of a unit
        self.price_per_gpu = self.price_usd_per_hour / self.usable  # that replicas can fill
        self.is_machine = np.array([*(offer.num_gpus > 1 for offer in offers), False])
        super().__init__(problem, everyone.select(np.array([rows[0] for rows in self.rows], dtype=np.int64)), unit)

    @property
    def counts_all(self) -> bool:
        """Nothing moves from a current fleet here."""
        return True

    def build(self) -> tuple[Program, Layout]:
        """The program: copies take GPUs of their lots, units of offers bring them."""
        problem, offers = self.problem, self.problem.offers.offers
        layout = make_layout(problem, self.candidates, (NOBODY, NOBODY), self.unit)
        used = self._offers_worth_renting()
        layout = replace(layout, machine_offer=used)
        program = Program.of_size(layout.size)
        program.whole[layout.copies] = True
        program.upper[layout.copies] = [self._most(rows) for rows in self.rows]
        program.upper[layout.machines] = [offers[index].max_units for index in used.tolist()]
        # Money is spent on units alone.
        unpaid = replace(self.candidates, gpus=np.zeros_like(self.candidates.gpus))
        define_budget(program, layout, unpaid, problem.limits, offers)
        define_caps(program, layout, unpaid, problem.limits, offers)
        define_objective(program, layout, unpaid, problem, offers)
        rented = (self.lots.of_offer[used], layout.machines, -self.usable[used])
        stock = program.add_rows("stock", range(len(self.lots.borrows)), rented, upper=0.0)
        needs = self.lots.of_candidate[[rows[0] for rows in self.rows]]
        row, slot = np.nonzero(needs >= 0)
        program.add_entries(stock[needs[row, slot]], layout.copies[row], self.candidates.gpus[row, slot])
        lend(program, stock, self.lots)
        self._define_machines(program, layout)
        self._define_slots(program, layout)
        return program, layout

    @property
    def has_all_offers(self) -> bool:
        """Whether the program may rent any offer: if not, its bound is not one of the whole search."""
        return len(self.layout.machine_offer) == int((self.lots.of_offer >= 0).sum())

    def _offers_worth_renting(self) -> Indices:
        """The cheapest offers of each lot, with somewhat more GPUs than the relaxation takes of it."""
        taken = np.zeros(len(self.room))
        np.add.at(taken, self.everyone.offers, self.everyone.gpus * self.relaxed[:, None])
        kept = []
        for lot in range(len(self.lots.borrows)):
            offers = np.flatnonzero(self.lots.of_offer == lot)
            offers = offers[np.argsort(self.price_per_gpu[offers], kind="stable")]
            before = np.cumsum(self.room[offers]) - self.room[offers]
            kept.append(offers[before <= TIMES_RELAXED * taken[offers].sum() + SPARE_GPUS])
        return np.sort(np.concatenate(kept))

    def _define_machines(self, program: Program, layout: Layout) -> None:
        """sum_o u_o = U_g over the machines o of each lot, U_g whole: then the u_o, bounded by stocks, mostly are."""
        machines = np.flatnonzero(self.is_machine[layout.machine_offer])
        lots, lot = np.unique(self.lots.of_offer[layout.machine_offer[machines]], return_inverse=True)
        counts = program.add_columns(len(lots), whole=True)
        columns = np.append(layout.machines[machines], counts)
        values = np.append(np.ones(len(machines)), -np.ones(len(lots)))
        rows = np.append(lot, np.arange(len(lots)))
        program.add_rows("machines", lots.tolist(), (rows, columns, values), lower=0.0, upper=0.0)

    def _define_slots(self, program: Program, layout: Layout) -> None:
        """sum_k floor(d_kg / s) y_k <= sum_o floor(room_o / s) for each shape g and size s of the replicas on it.

        Notes           Two replicas of three GPUs do not share an offer of five, though there are GPUs enough: whatever
                        shares one takes whole slots of s GPUs of those it has.
        """
        needs, gpus = self.lots.of_candidate[[rows[0] for rows in self.rows]], self.candidates.gpus
        shape = np.append(np.cumsum(np.append(False, ~self.lots.borrows[:-1])), -1)  # of each lot, and of lot -1
        of_offer, of_need = shape[np.append(self.lots.of_offer, -1)], shape[needs]
        for number in np.unique(of_need[of_need >= 0]).tolist():
            room = self.room[of_offer == number]
            row, slot = np.nonzero(of_need == number)
            for size in np.unique(gpus[row, slot]).tolist():
                slots = float((room // size).sum())
                if size > 1 and slots * size < room.sum():
                    some = gpus[row, slot] >= size
                    columns, taken = layout.copies[row[some]], gpus[row[some], slot[some]] // size
                    program.add_row("slots", (number, size), columns, taken, upper=slots)

    def _most(self, rows: Indices) -> float:
        """Copies that all offers together have room for."""
        offers, gpus = self.everyone.offers[rows], np.maximum(self.everyone.gpus[rows], 1)
        return float((self.room[offers] // gpus).min(axis=1).sum())

    def cost_usd_per_hour(self, copies: Array) -> float:
        """Money for whole `copies` where they are placed [$/h]; inf where stock, budget or caps forbid them."""
        placed, taken = self._placed(copies)
        if placed.sum() < copies.sum():
            return np.inf
        units = -(-taken // self.usable)
        return float((units * self.price_usd_per_hour).sum()) if self._within_limits(units) else np.inf

    @cached_property
    def _limits(self) -> tuple[Program, Indices]:
        """Budget and caps over units of all offers, and the columns of those."""
        nobody, offers = self.everyone.select(NOBODY), self.problem.offers.offers
        layout = make_layout(self.problem, nobody, (NOBODY, NOBODY), self.unit)
        layout = replace(layout, machine_offer=np.arange(len(offers)))
        program = Program.of_size(layout.size)
        define_budget(program, layout, nobody, self.problem.limits, offers)
        define_caps(program, layout, nobody, self.problem.limits, offers)
        return program, layout.machines

    def _within_limits(self, units: Indices) -> bool:
        """Whether budget and caps allow so many units of each offer."""
        program, columns = self._limits
        x = np.zeros(len(program.cost))
        x[columns] = units[:-1]
        return bool((program.row_activity(x) <= program.row_upper * (1 + 1e-9) + 1e-9).all())

    def placed(self, copies: Array) -> Array:
        """Whole `copies` of the kinds as copies of all candidates, as many as find room, shape (num_everyone,)."""
        return self._placed(copies)[0]

    def possible(self, copies: Array) -> Array:
        """As many of whole `copies` as find room on offers that hold each of them whole."""
        placed = self.placed(copies)
        return np.array([placed[rows].sum() for rows in self.rows])

    def _placed(self, copies: Array) -> tuple[Array, Indices]:
        """Copies of all candidates, and the GPUs they take of each offer.

        Notes           The largest first, each where it costs least: in machines that are rented anyway, then where its
                        GPUs are cheapest.
        """
        placed = np.zeros(len(self.everyone))
        taken = np.zeros(len(self.room), dtype=np.int64)
        largest_first = np.argsort(-self.candidates.gpus.sum(axis=1), kind="stable")
        for kind in largest_first[copies[largest_first] > 0].tolist():
            rows, left = self.rows[kind], int(copies[kind])
            if (self.everyone.gpus[rows[0]] > 0).sum() == 1:
                placed[rows] = self._on_one(rows, left, taken)
            else:
                placed[rows] = self._on_two(rows, left, taken)
        return placed, taken

    def _on_one(self, rows: Indices, left: int, taken: Indices) -> Indices:
        """Copies on each of `rows`, which stand on one offer each, `left` in all; adds to the GPUs `taken`."""
        slot = int(self.everyone.gpus[rows[0], 1] > 0)
        offers, need = self.everyone.offers[rows, slot], int(self.everyone.gpus[rows[0], slot])
        idle = np.where(self.is_machine[offers], -taken[offers] % self.usable[offers], 0)
        in_idle = _filled(idle // need, left)
        room = self.room[offers] - taken[offers] - need * in_idle
        cheapest = np.argsort(self.price_per_gpu[offers], kind="stable")
        count = in_idle.copy()
        count[cheapest] += _filled(room[cheapest] // need, left - int(in_idle.sum()))
        taken[offers] += need * count
        return count

    def _on_two(self, rows: Indices, left: int, taken: Indices) -> Indices:
        """The same of replicas that stand on two offers each, which they may have in common."""
        offers, gpus = self.everyone.offers[rows], self.everyone.gpus[rows]
        count = np.zeros(len(rows), dtype=np.int64)
        while left:
            fits = ((self.room[offers] - taken[offers]) // gpus).min(axis=1)
            if not fits.any():
                break
            idle = np.where(self.is_machine[offers], -taken[offers] % self.usable[offers], 0)
            paid = np.where(gpus <= idle, 0.0, gpus * self.price_per_gpu[offers]).sum(axis=1)
            row = int(np.where(fits > 0, paid, np.inf).argmin())
            taken[offers[row]] += gpus[row]
            count[row] += 1
            left -= 1
        return count


def search_lots(
    problem: PlanProblem,
    candidates: CandidateSet,
    unit: float,
    pricing: Pricing,
    lots: Lots,
    alike: Alike,
    deadline: float,
    keep: Callable[[Projected], None],
) -> Projected:
    """The best copies of `candidates` over kinds of replicas, more kinds one time after the other; least cost only.

    Parameters
        keep        Called with the copies of each time: what is known should a later one be interrupted.
        deadline    When to stop, as of `perf_counter` [s].
    Returns         its objective inf where no copies that were found could be put on offers.
    """
    order, starts = alike.order, alike.starts[:-1]
    relaxed = np.add.reduceat(pricing.copies[order], starts)
    loss = np.minimum.reduceat(pricing.loss[order], starts)
    copies, best = np.zeros(len(alike)), Projected(np.zeros(len(candidates)), np.inf, pricing.objective)
    for size in KINDS:
        nearest = np.argsort(loss, kind="stable")[:size]
        kinds = np.unique(np.concatenate([np.flatnonzero((relaxed > 1e-9) | (copies > 0)), nearest]))
        fleet = LotFleet(problem, candidates, unit, pricing.copies, lots, alike, kinds)
        found = search_copies(fleet, replace(best, copies=copies[kinds]), relaxed[kinds], deadline)
        complete = len(kinds) == len(alike) and fleet.has_all_offers
        # What was left out is covered by the relaxation.
        best = replace(found, bound=max(found.bound, pricing.objective) if complete else pricing.objective)
        if np.isfinite(best.objective):
            copies = np.zeros(len(alike))
            copies[kinds] = found.copies
            best = replace(best, copies=fleet.placed(found.copies))
            keep(best)
        interrupted = found.stopped_by is StopReason.INTERRUPTED
        if interrupted or len(kinds) == len(alike) or perf_counter() >= deadline or proven(best, problem):
            break
    return best


def _filled(room: Indices, count: int) -> Indices:
    """`count` things put where there is room for them, the first place first."""
    before = np.cumsum(room) - room
    put: Indices = np.clip(count - before, 0, room)
    return put
