"""The planner's mixed-integer program: variables and one function per family of constraints.

    symbol    column         meaning                                                    unit
    y_c       copies         copies of candidate c, whole                               -
    z_cw      busy           copies of c kept busy by workload w                        replicas
    u_o       machines       rental units of a whole-machine offer o, whole             -
    theta     load_factor    how many times the demanded rates are served               -

    h_cw rate, lambda_w demanded rate, d_oc GPUs of c on offer o, k_o GPUs of one unit of o, p_o its price.

The makespan form of the literature, minimise T with sum_w x_cw f_w / (y_c h_cw) <= T, multiplies T and y.
With z_cw = x_cw theta f_w / h_cw and theta = 1/T it becomes linear, so no bisection on T is needed;
docs/formulation.md shows the step. w runs over the (model, workload type) pairs of all models.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.offer import Offer
from cuvee.plan.candidates import CandidateSet
from cuvee.plan.placement import usable_gpus
from cuvee.plan.problem import Limits, Objective, PlanProblem
from cuvee.plan.program import Array, Program

COST_TIE_BREAK = 1e-6
"""Weight of money under the throughput objective [-]: what all the money takes off theta, which is at most 1; of two
equally fast plans the cheaper one."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Which column is which.

    Attributes
        pair_candidate, pair_workload    c and w of each z column, shape (num_pairs,); w counts over all models.
        machine_offer                    o of each u column, shape (num_machines,).
        demand_req_per_s                 lambda_w times the unit of theta: what theta = 1 stands for in the program,
                                         shape (num_workloads,).
        rate                             h_cw, 0 across models [req/s], shape (num_candidates, num_workloads).
    """

    num_candidates: int
    pair_candidate: NDArray[np.int64]
    pair_workload: NDArray[np.int64]
    machine_offer: NDArray[np.int64]
    demand_req_per_s: Array
    rate: Array

    @property
    def busy(self) -> NDArray[np.int64]:
        """Columns of z."""
        return self.num_candidates + np.arange(len(self.pair_candidate))

    @property
    def machines(self) -> NDArray[np.int64]:
        """Columns of u."""
        return self.num_candidates + len(self.pair_candidate) + np.arange(len(self.machine_offer))

    @property
    def load_factor(self) -> int:
        """Column of theta."""
        return self.num_candidates + len(self.pair_candidate) + len(self.machine_offer)


def build_program(
    problem: PlanProblem, candidates: CandidateSet, *, load_factor_unit: float | None = None
) -> tuple[Program, Layout]:
    """The program of `problem` over `candidates`, and where its columns are.

    Parameters
        load_factor_unit    What theta counts in [-]; `rough_load_factor` of these candidates where None.
    """
    offers = problem.offers.offers
    layout = _layout(problem, candidates)
    layout.demand_req_per_s[:] *= (
        rough_load_factor(problem, candidates) if load_factor_unit is None else load_factor_unit
    )
    size = layout.load_factor + 1
    program = Program(np.zeros(size), np.zeros(size), np.full(size, np.inf), np.zeros(size, dtype=bool), maximize=False)
    program.whole[: len(candidates)] = True
    program.whole[layout.machines] = True
    program.upper[: len(candidates)] = _most_copies(candidates, problem.limits, offers)

    define_demand(program, layout)
    define_capacity(program, layout)
    define_stock(program, layout, candidates, offers)
    define_budget(program, layout, candidates, problem.limits, offers)
    define_caps(program, layout, candidates, problem.limits, offers)
    define_cover(program, layout)
    define_objective(program, layout, candidates, problem, offers)
    return program, layout


def _layout(problem: PlanProblem, candidates: CandidateSet) -> Layout:
    widths = [len(entry.demand.types) for entry in problem.models]
    rate = np.zeros((len(candidates), sum(widths)))
    start = 0
    for index, (table, width) in enumerate(zip(candidates.tables, widths, strict=True)):
        rate[candidates.model_index == index, start : start + width] = table.rate_req_per_s
        start += width
    pair_candidate, pair_workload = np.nonzero(rate)
    machine_offer = np.array(
        [index for index, offer in enumerate(problem.offers.offers) if offer.num_gpus > 1 and offer.max_units > 0],
        dtype=np.int64,
    )
    demand = np.concatenate([np.array(rates) for rates in problem.rates_req_per_s])
    return Layout(len(candidates), pair_candidate, pair_workload, machine_offer, demand, rate)


def rough_load_factor(problem: PlanProblem, candidates: CandidateSet) -> float:
    """What theta counts in, so that it is near 1, where the solver's absolute tolerances mean something [-].

    Cost: 1, since theta = 1 is the demand itself. Throughput: only the mix counts, so theta counts in units of what
    the money could buy with each type on its best candidate per dollar: above any plan's rate.
    """
    if problem.objective is Objective.COST:
        return 1.0
    seconds = 0.0
    for model, (table, demanded) in enumerate(zip(candidates.tables, problem.rates_req_per_s, strict=True)):
        prices = candidates.price_usd_per_hour[candidates.model_index == model]
        per_dollar = (table.rate_req_per_s / prices[:, None]).max(axis=0, initial=0.0)
        if not (per_dollar > 0).all():
            return 1.0
        seconds += float((np.array(demanded) / per_dollar).sum())
    return most_money(problem) / seconds


def most_money(problem: PlanProblem) -> float:
    """The budget, or the price of all stock where that is less [$/h]."""
    stock = sum(offer.max_units * offer.price_usd_per_hour for offer in problem.offers.offers)
    budget = problem.limits.budget_usd_per_hour
    return stock if budget is None else min(budget, stock)


def _most_copies(candidates: CandidateSet, limits: Limits, offers: tuple[Offer, ...]) -> Array:
    """Largest y_c that stock and budget allow each candidate alone [-]."""
    available = np.array([offer.max_units * offer.num_gpus for offer in offers])
    with np.errstate(divide="ignore"):
        by_stock = np.where(candidates.usage > 0, available // np.maximum(candidates.usage, 1), np.inf).min(axis=1)
    if limits.budget_usd_per_hour is None:
        return np.asarray(np.floor(by_stock), dtype=float)
    affordable = limits.budget_usd_per_hour * (1 + 1e-9) / candidates.price_usd_per_hour
    return np.asarray(np.floor(np.minimum(by_stock, affordable)), dtype=float)


def define_demand(program: Program, layout: Layout) -> None:
    """sum_c (h_cw / lambda_w) z_cw >= theta for each w: every workload type is served theta times."""
    for workload, demanded in enumerate(layout.demand_req_per_s):
        pairs = np.flatnonzero(layout.pair_workload == workload)
        columns = np.append(layout.busy[pairs], layout.load_factor)
        rates = layout.rate[layout.pair_candidate[pairs], workload]
        program.add_row(f"demand[{workload}]", columns, np.append(rates / demanded, -1.0), lower=0.0)


def define_cover(program: Program, layout: Layout) -> None:
    """sum_(c: h_cw > 0) y_c >= 1 for each w: every type has a replica.

    Implied by demand and capacity, but not for a solver that takes y = 1e-7 for a whole number: a demand that small
    would be served by nothing.
    """
    for workload in range(layout.rate.shape[1]):
        able = np.flatnonzero(layout.rate[:, workload])
        program.add_row(f"cover[{workload}]", able, np.ones(len(able)), lower=1.0)


def define_capacity(program: Program, layout: Layout) -> None:
    """sum_w z_cw <= y_c for each c: no copy is busier than all the time."""
    # Pairs are sorted by candidate: one cut instead of a scan for each.
    cuts = np.searchsorted(layout.pair_candidate, np.arange(1, layout.num_candidates))
    for candidate, pairs in enumerate(np.split(layout.busy, cuts)):
        values = np.append(np.ones(len(pairs)), -1.0)
        program.add_row(f"capacity[{candidate}]", np.append(pairs, candidate), values, upper=0.0)


def define_stock(program: Program, layout: Layout, candidates: CandidateSet, offers: tuple[Offer, ...]) -> None:
    """sum_c d_oc y_c <= stock_o; where an offer is a whole machine, <= k'_o u_o with u_o <= stock_o.

    Notes           TP groups are powers of two, so groups that fit a machine's GPUs in number also pack into it,
                    counting only the largest power of two of its GPUs as usable.
    """
    unit_of = {int(offer): column for offer, column in zip(layout.machine_offer, layout.machines, strict=True)}
    for index, offer in enumerate(offers):
        users = np.flatnonzero(candidates.usage[:, index])
        taken = candidates.usage[users, index].astype(float)
        column = unit_of.get(index)
        if column is None:
            if len(users):
                program.add_row(f"stock[{index}]", users, taken, upper=float(offer.max_units))
            continue
        program.upper[column] = offer.max_units if len(users) else 0
        program.add_row(
            f"stock[{index}]", np.append(users, column), np.append(taken, -float(usable_gpus(offer))), upper=0.0
        )


def weigh_columns(
    layout: Layout, candidates: CandidateSet, offers: tuple[Offer, ...], weight_per_gpu: Array
) -> tuple[NDArray[np.int64], Array]:
    """Columns that rent GPUs and what one of each weighs: copies on single-GPU offers, units of whole machines.

    Parameters
        weight_per_gpu    What one GPU of each offer weighs, e.g. its price [$/h], shape (num_offers,).
    """
    single = np.array([offer.num_gpus == 1 for offer in offers])
    per_copy: Array = candidates.usage.astype(float) @ np.where(single, weight_per_gpu, 0.0)
    per_unit = np.array([offers[offer].num_gpus * weight_per_gpu[offer] for offer in layout.machine_offer])
    weights = np.concatenate([per_copy, per_unit])
    columns = np.concatenate([np.arange(layout.num_candidates), layout.machines])
    return columns[weights > 0], weights[weights > 0]


def gpu_prices(offers: tuple[Offer, ...]) -> Array:
    """Price of one GPU of each offer [$/h], shape (num_offers,)."""
    return np.array([offer.price_usd_per_gpu_hour for offer in offers])


def define_budget(
    program: Program, layout: Layout, candidates: CandidateSet, limits: Limits, offers: tuple[Offer, ...]
) -> None:
    """sum_c o_c y_c + sum_o p_o u_o <= B."""
    columns, costs = weigh_columns(layout, candidates, offers, gpu_prices(offers))
    budget = np.inf if limits.budget_usd_per_hour is None else limits.budget_usd_per_hour
    program.add_row("budget", columns, costs, upper=budget)


def define_caps(
    program: Program, layout: Layout, candidates: CandidateSet, limits: Limits, offers: tuple[Offer, ...]
) -> None:
    """GPUs and money per GPU type and per seller: sum over that type's (seller's) offers <= cap."""
    gpu_names = [offer.gpu for offer in offers]
    sellers = [offer.seller for offer in offers]
    one: Array = np.ones(len(offers))
    price = gpu_prices(offers)
    families: tuple[tuple[str, Mapping[str, float], list[str], Array], ...] = (
        ("max_gpus", limits.max_gpus, gpu_names, one),
        ("max_gpus_per_seller", limits.max_gpus_per_seller, sellers, one),
        ("max_usd_per_hour_per_gpu", limits.max_usd_per_hour_per_gpu, gpu_names, price),
        ("max_usd_per_hour_per_seller", limits.max_usd_per_hour_per_seller, sellers, price),
    )
    for label, caps, owners, per_gpu in families:
        for name, cap in caps.items():
            counted = np.where([owner == name for owner in owners], per_gpu, 0.0)
            columns, weights = weigh_columns(layout, candidates, offers, counted)
            if len(columns):
                program.add_row(f"{label}[{name}]", columns, weights, upper=float(cap))


def define_objective(
    program: Program, layout: Layout, candidates: CandidateSet, problem: PlanProblem, offers: tuple[Offer, ...]
) -> None:
    """Throughput: maximise theta, cheaper first among equals. Cost: minimise money with theta = 1."""
    columns, costs = weigh_columns(layout, candidates, offers, gpu_prices(offers))
    if problem.objective is Objective.COST:
        program.cost[columns] = costs
        program.lower[layout.load_factor] = program.upper[layout.load_factor] = 1.0
        return
    program.maximize = True
    program.cost[layout.load_factor] = 1.0
    program.cost[columns] = -COST_TIE_BREAK * costs / most_money(problem)
