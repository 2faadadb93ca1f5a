"""Marginal values: what requests are worth and limits cost, from the relaxation where replicas come in fractions.

The relaxation is solved by column generation: over a few candidates first; its shadow prices then say which of the
others would earn more than they are charged; those join, until none does. A handful of small linear programs stands
for one over every candidate, with the same value and shadow prices.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.offer import Offer
from cuvee.plan.candidates import CandidateSet
from cuvee.plan.formulation import Layout, build_program
from cuvee.plan.placement import usable_gpus
from cuvee.plan.problem import PlanProblem
from cuvee.plan.program import Answer, Array, Program, Termination, solve

ALL_AT_ONCE = 500
"""Candidates up to which they all enter the relaxation at once [-]: rounds cost more than they save."""

JOIN_AT_ONCE = 200
"""Candidates that join the relaxation in a round, the most underpaid first [-]."""

MOST_ROUNDS = 50
"""Rounds after which every candidate joins [-]; 5 to 15 are usual."""

UNDERPAID = 1e-7
"""Earned over charged, less 1, from which a candidate joins [-]: the solver's own tolerance."""


@dataclass(frozen=True, eq=False)
class Pricing:
    """What one copy of each candidate earns and takes at the shadow prices of the relaxation.

    Attributes
        earned           max_w pi_w h_cw: worth of a copy on its best type, in units of the objective.
        best_workload    The w that attains it.
        charged          sum_r sigma_r a_rc: what its share of every limit costs, its price where that is the objective.
        objective        Value of the relaxation: no plan is better.
        copies           y of the relaxation, fractional, shape (num_candidates,).
    """

    earned: Array
    best_workload: NDArray[np.int64]
    charged: Array
    objective: float
    copies: Array

    @property
    def worth(self) -> Array:
        """Earned over charged [-]: at most 1, and 1 for what the relaxation rents; 0 where nothing is charged."""
        return np.minimum(np.where(self.charged > 0, self.earned / np.maximum(self.charged, 1e-300), 0.0), 1.0)

    @property
    def loss(self) -> Array:
        """By how much a plan with a copy of each candidate must fall short of `objective`, at least; >= 0.

        Notes       Weak duality: objective(plan) <= objective - sum_c (charged_c - earned_c) y_c for every plan, when
                    maximising; the same with the signs turned when minimising.
        """
        return np.maximum(self.charged - self.earned, 0.0)


def price(problem: PlanProblem, candidates: CandidateSet, load_factor_unit: float) -> Pricing | None:
    """Marginal values over all `candidates`; None where even the relaxation has no answer.

    Parameters
        load_factor_unit    As of `build_program`.
    """
    active = _first_columns(candidates) if len(candidates) > ALL_AT_ONCE else np.ones(len(candidates), dtype=bool)
    for round_number in range(MOST_ROUNDS + 1):
        if round_number == MOST_ROUNDS:
            active[:] = True
        pricing = _price_over(active, problem, candidates, load_factor_unit)
        if pricing is None and active.all():
            return None
        if pricing is None:
            active[:] = True  # too few candidates to serve the demand at all
            continue
        underpaid = np.where(active, -np.inf, pricing.earned - pricing.charged * (1 + UNDERPAID))
        joining = np.argsort(-underpaid, kind="stable")[:JOIN_AT_ONCE]
        joining = joining[underpaid[joining] > 0]
        if not len(joining):
            return pricing
        active[joining] = True
    return pricing


def _first_columns(candidates: CandidateSet) -> NDArray[np.bool_]:
    """For each offer alone and each workload type, the candidate with most requests per dollar."""
    active = np.zeros(len(candidates), dtype=bool)
    alone = np.flatnonzero((candidates.usage > 0).sum(axis=1) == 1)
    offer_of = candidates.usage.argmax(axis=1)
    for model, table in enumerate(candidates.tables):
        rows_of_model = np.flatnonzero(candidates.model_index == model)
        line_of = np.full(len(candidates), -1)
        line_of[rows_of_model] = np.arange(len(rows_of_model))
        mine = alone[candidates.model_index[alone] == model]
        value = table.rate_req_per_s[line_of[mine]] / candidates.price_usd_per_hour[mine, None]
        for offer in np.unique(offer_of[mine]):
            here = np.flatnonzero(offer_of[mine] == offer)
            active[mine[here[value[here].argmax(axis=0)]]] = True
    # A model that fits no single offer starts from all its candidates.
    for model in range(len(candidates.tables)):
        rows = candidates.model_index == model
        if not active[rows].any():
            active[rows] = True
    return active


def _price_over(
    active: NDArray[np.bool_], problem: PlanProblem, candidates: CandidateSet, load_factor_unit: float
) -> Pricing | None:
    """Prices of the relaxation over the `active` candidates, applied to all."""
    program, layout = build_program(problem, candidates.select(active), load_factor_unit=load_factor_unit)
    relaxed = solve(fractional(program, layout), problem.search)
    if relaxed.termination is not Termination.OPTIMAL:
        return None
    worth = np.abs(relaxed.row_dual[: layout.rate.shape[1]]) / layout.demand_req_per_s
    earned, best = _earned(candidates, worth)
    copies = np.zeros(len(candidates))
    copies[active] = relaxed.x[: layout.num_candidates]
    per_gpu = _charge_per_gpu(program, layout, relaxed, problem.offers.offers)
    return Pricing(earned, best, candidates.usage @ per_gpu, relaxed.objective, copies)


def _earned(candidates: CandidateSet, worth_per_req_per_s: Array) -> tuple[Array, NDArray[np.int64]]:
    """max_w pi_w h_cw and its w, over the types of each candidate's own model."""
    earned, best = np.zeros(len(candidates)), np.zeros(len(candidates), dtype=np.int64)
    start = 0
    for model, table in enumerate(candidates.tables):
        width = table.rate_req_per_s.shape[1]
        values = table.rate_req_per_s * worth_per_req_per_s[start : start + width]
        rows = candidates.model_index == model
        earned[rows], best[rows] = values.max(axis=1, initial=0.0), start + values.argmax(axis=1)
        start += width
    return earned, best


def fractional(program: Program, layout: Layout) -> Program:
    """The relaxation whose shadow prices say what a replica is worth.

    Without what only helps the search: bounds on copies repeat stock and budget, cover rows repeat the demand, and
    both would keep part of the shadow price for themselves.
    """
    relaxed = program.relaxed()
    relaxed.upper = program.upper.copy()
    relaxed.upper[: layout.num_candidates] = np.inf
    relaxed.row_lower = [
        -np.inf if name.startswith("cover") else lower
        for name, lower in zip(program.row_names, program.row_lower, strict=True)
    ]
    return relaxed


def _charge_per_gpu(program: Program, layout: Layout, relaxed: Answer, offers: tuple[Offer, ...]) -> Array:
    """What a replica is charged for one GPU of each offer, shape (num_offers,).

    Notes           Single GPUs: shadow price of the stock, plus what renting one costs at those of budget and caps. Of
                    whole machines, whose unit column rents, the stock row's price, or the most that keeps the unit
                    column from being profitable: the solver's own price of an offer nobody rents may be anything
                    below it, just enough to keep replicas away.
    """
    dual = dict(zip(program.row_names, np.abs(relaxed.row_dual), strict=True))
    charges = np.zeros(len(offers))
    money = dual["budget"] + _cost_of_a_dollar(program, layout, offers)
    for index, offer in enumerate(offers):
        dollar = money + sum(
            dual.get(f"{cap}[{name}]", 0.0)
            for cap, name in (
                ("max_usd_per_hour_per_gpu", offer.gpu),
                ("max_usd_per_hour_per_seller", offer.seller),
            )
        )
        counted = dual.get(f"max_gpus[{offer.gpu}]", 0.0) + dual.get(f"max_gpus_per_seller[{offer.seller}]", 0.0)
        renting = dollar * offer.price_usd_per_gpu_hour + counted
        stock = dual.get(f"stock[{index}]")
        if offer.num_gpus == 1:
            charges[index] = renting + (stock or 0.0)
        else:
            unused = renting * offer.num_gpus / usable_gpus(offer)
            charges[index] = max(stock or 0.0, unused)
    return charges


def _cost_of_a_dollar(program: Program, layout: Layout, offers: tuple[Offer, ...]) -> float:
    """Weight of money in the objective itself: 1 where it is the objective, the tie-break's otherwise."""
    budget = program.row_names.index("budget")
    columns, prices = program.columns[budget], program.values[budget]
    return float(abs(program.cost[columns[0]]) / prices[0]) if len(columns) else 0.0
