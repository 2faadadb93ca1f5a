"""The planner's mixed-integer program: variables and one function per family of constraints.

    symbol    column         meaning                                                    unit
    y_c       copies         copies of candidate c, whole                               -
    z_cw      busy           copies of c kept busy by workload w, in lambda_w / h_cw    replicas
    u_o       machines       rental units of a whole-machine offer o, whole             -
    f_wg      flows          share of w prefilled and decoded apart in place g, x theta -
    theta     load_factor    how many times the demanded rates are served               -

    h_cw rate, lambda_w demanded rate, d_oc GPUs of c on offer o, k_o GPUs of one unit of o, p_o its price.

The makespan form of the literature, minimise T with sum_w x_cw f_w / (y_c h_cw) <= T, multiplies T and y.
With z_cw = x_cw theta f_w / h_cw and theta = 1/T it becomes linear, so no bisection on T is needed;
docs/formulation.md shows the step. w runs over the (model, workload type) pairs of all models.
"""

from collections.abc import Mapping

import numpy as np

from cuvee.catalog.offer import Offer
from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.candidates.placement import usable_gpus
from cuvee.plan.program.layout import Layout, Pairs, all_pairs, first_workloads, make_layout
from cuvee.plan.program.move_rows import define_moves, most_moves_usd_per_hour
from cuvee.plan.question.aim import Serve
from cuvee.plan.question.problem import Limits, Objective, PlanProblem
from cuvee.plan.question.risk import share_limits
from cuvee.plan.solver.program import Array, Indices, Program

COST_TIE_BREAK = 1e-6
"""Weight of money under the throughput objective [-]: what all the money takes off theta, which is at most 1; of two
equally fast plans the cheaper one."""


CAP_FAMILIES = ("max_gpus", "max_gpus_per_seller", "max_usd_per_hour_per_gpu", "max_usd_per_hour_per_seller")
"""Families of rows that cap GPUs and money; fields of `Limits`."""

FLEET_FAMILIES = ("stock", "budget", *CAP_FAMILIES)
"""Families of rows that limit what is rented; the others say what it serves."""


def build_program(
    problem: PlanProblem,
    candidates: CandidateSet,
    *,
    load_factor_unit: float | None = None,
    pairs: Pairs | None = None,
) -> tuple[Program, Layout]:
    """The program of `problem` over `candidates`, and where its columns are.

    Parameters
        load_factor_unit    What theta counts in [-]; `rough_load_factor` of these candidates where None.
        pairs               The (c, w) that get a z column, ascending; all with a rate where None.
    """
    offers = problem.offers.offers
    unit = rough_load_factor(problem, candidates) if load_factor_unit is None else load_factor_unit
    layout = make_layout(problem, candidates, all_pairs(candidates) if pairs is None else pairs, unit)
    program = Program.of_size(layout.size)
    program.whole[layout.copies] = True
    program.whole[layout.machines] = True
    program.upper[layout.copies] = _most_copies(candidates, problem.limits, offers)

    define_demand(program, layout)
    define_capacity(program, layout)
    define_stock(program, layout, candidates, offers)
    define_budget(program, layout, candidates, problem.limits, offers)
    define_caps(program, layout, candidates, problem.limits, offers)
    define_cover(program, layout, problem)
    define_shares(program, layout, candidates, problem)
    define_objective(program, layout, candidates, problem, offers)
    if problem.current is not None:
        define_moves(program, candidates, problem, problem.current, objective_per_dollar(problem))
    return program, layout


def request_weights(problem: PlanProblem) -> Array:
    """What a request of each w counts [-], shape (num_workloads,)."""
    return np.concatenate([np.array(each) for each in problem.weights])


def floors(problem: PlanProblem) -> Array:
    """Least theta of each w [-], shape (num_workloads,)."""
    return np.concatenate(
        [np.full(len(each.demand.types), problem.aim.floors.get(each.model.name, 0.0)) for each in problem.models]
    )


def rough_load_factor(problem: PlanProblem, candidates: CandidateSet) -> float:
    """What theta counts in, so that it is near 1, where the solver's absolute tolerances mean something [-].

    Cost, and where nothing is served beyond the demand: 1, since theta = 1 is the demand itself. Throughput: only the
    mix counts, so theta counts in units of what the money could buy with each type on its best candidate per dollar:
    above any plan's rate.
    """
    if problem.objective is Objective.COST or problem.ends_at_the_demand:
        return 1.0
    seconds = 0.0
    whole = candidates.tables[: len(problem.models)]
    for model, (table, demanded) in enumerate(zip(whole, problem.rates_req_per_s, strict=True)):
        mine = candidates.model_index == model
        least_price = np.full(len(table.configs), np.inf)
        np.minimum.at(least_price, candidates.config[mine], candidates.price_usd_per_hour[mine])
        per_dollar = (table.rate_req_per_s / least_price[:, None]).max(axis=0, initial=0.0)
        if not (per_dollar > 0).all():
            return 1.0
        seconds += float((np.array(demanded) / per_dollar).sum())
    return most_money(problem) / seconds or 1.0


def most_money(problem: PlanProblem) -> float:
    """The budget, or the price of all stock and of moving to all of it where that is less [$/h]."""
    stock = sum(offer.max_units * offer.price_usd_per_hour for offer in problem.offers.offers)
    stock += most_moves_usd_per_hour(problem)
    budget = problem.limits.budget_usd_per_hour
    return stock if budget is None else min(budget, stock)


def _most_copies(candidates: CandidateSet, limits: Limits, offers: tuple[Offer, ...]) -> Array:
    """Largest y_c that stock and budget allow each candidate alone [-]."""
    available = np.array([*(offer.max_units * offer.num_gpus for offer in offers), 2**40])  # the last: offer -1
    most = (available[candidates.offers] // np.maximum(candidates.gpus, 1)).min(axis=1)
    if limits.budget_usd_per_hour is not None:
        affordable = limits.budget_usd_per_hour * (1 + 1e-9) / candidates.price_usd_per_hour
        most = np.minimum(most, affordable)
    return np.asarray(np.floor(most), dtype=float)


def define_demand(program: Program, layout: Layout) -> None:
    """sum_c (h_cw / lambda_w) z_cw + sum_g f_wg >= theta for each w: every workload type is served theta times.

    Notes           In each place g two more rows of the same form, over what prefills w there and over what decodes it:
                    sum_c (h_cw / lambda_w) z_cw >= f_wg.
    """
    workloads = np.arange(layout.num_workloads)
    rows = program.add_rows(
        "demand",
        workloads.tolist(),
        (
            np.append(layout.pair_workload, workloads),
            np.append(layout.busy, layout.served_by),
            np.append(np.ones(len(layout.busy)), np.full(len(workloads), -1.0)),
        ),
        lower=0.0,
    )
    program.add_entries(rows[layout.flow_workload], layout.flows, 1.0)


def define_cover(program: Program, layout: Layout, problem: PlanProblem) -> None:
    """sum_(c: h_cw > 0) y_c >= 1 for each w that must be served: every such type has a replica, for each phase of it.

    Implied by demand and capacity, but not for a solver that takes y = 1e-7 for a whole number: a demand that small
    would be served by nothing.
    """
    must = np.ones(layout.num_asked) if problem.aim.serve is Serve.MIX else np.ceil(floors(problem))
    asked, phase = layout.asked_workload[layout.pair_workload], layout.phase_of_workload[layout.pair_workload]
    for apart in (1, 2) if len(layout.flows) else (0,):
        able = (phase == 0) | (phase == apart)
        entries = (asked[able], layout.pair_candidate[able], 1.0)
        program.add_rows("cover", range(layout.num_asked), entries, lower=must)


def define_links(program: Program, layout: Layout, headroom: float) -> None:
    """theta x_cw <= theta y_c for each pair that keeps less than a copy busy, where theta is 1 + `headroom`.

    Implied where y is whole. In fractions it is not: a hundredth of a copy would serve all of a rare type; and a solver
    that takes y = 1e-7 for 0 would have that serve a quick one.
    """
    light = np.flatnonzero(layout.pair_load < 1)
    rows = np.arange(len(light))
    program.add_rows(
        "link",
        rows.tolist(),
        (
            np.append(rows, rows),
            np.append(layout.busy[light], layout.pair_candidate[light]),
            np.append(np.ones(len(light)), np.full(len(light), -1.0 - headroom)),
        ),
        upper=0.0,
    )


def define_capacity(program: Program, layout: Layout) -> None:
    """sum_w z_cw <= y_c for each c: no copy is busier than all the time."""
    rows = np.append(layout.pair_candidate, layout.copies)
    columns = np.append(layout.busy, layout.copies)
    values = np.append(layout.pair_load, np.full(layout.num_candidates, -1.0))
    program.add_rows("capacity", range(layout.num_candidates), (rows, columns, values), upper=0.0)


def define_stock(program: Program, layout: Layout, candidates: CandidateSet, offers: tuple[Offer, ...]) -> None:
    """sum_c d_oc y_c <= stock_o; where an offer is a whole machine, <= k'_o u_o with u_o <= stock_o.

    Notes           TP groups are powers of two, so groups that fit a machine's GPUs in number also pack into it,
                    counting only the largest power of two of its GPUs as usable.
    """
    row, slot = np.nonzero(candidates.offers >= 0)
    offer = candidates.offers[row, slot]
    keys = np.unique(offer)
    usable = np.array([float(usable_gpus(offers[index])) for index in layout.machine_offer])
    stock = np.array([float(offers[index].max_units) if offers[index].num_gpus == 1 else 0.0 for index in keys])
    program.upper[layout.machines] = [offers[index].max_units for index in layout.machine_offer]
    program.add_rows(
        "stock",
        keys.tolist(),
        (
            np.append(np.searchsorted(keys, offer), np.searchsorted(keys, layout.machine_offer)),
            np.append(row, layout.machines),
            np.append(candidates.gpus[row, slot], -usable),
        ),
        upper=stock,
    )


def define_shares(program: Program, layout: Layout, candidates: CandidateSet, problem: PlanProblem) -> None:
    """sum_(c in D) sum_w h_cw z_cw <= s theta sum_w lambda_w for each model and domain D of a share limit."""
    first = first_workloads(candidates)
    model_of_pair = candidates.model_index[layout.pair_candidate]
    for (kind, name), offers in share_limits(problem.risk, problem.offers.offers).items():
        inside = candidates.stands_on(offers)[layout.pair_candidate]
        for model in range(len(candidates.tables)):
            pairs = np.flatnonzero(inside & (model_of_pair == model))
            workloads = np.arange(first[model], first[model + 1])
            demand = layout.demand_req_per_s[workloads]
            served = np.bincount(layout.service_of_workload[workloads], demand / demand.sum())
            of_pair = layout.demand_req_per_s[layout.pair_workload[pairs]] / demand.sum()
            program.add_row(
                "share",
                (kind, name, model),
                np.append(layout.busy[pairs], layout.services[: len(served)][served > 0]),
                np.append(of_pair, -problem.risk.max_share[kind] * served[served > 0]),
                upper=0.0,
            )


def weigh_columns(
    layout: Layout, candidates: CandidateSet, offers: tuple[Offer, ...], weight_per_gpu: Array
) -> tuple[Indices, Array]:
    """Columns that rent GPUs and what one of each weighs: copies on single-GPU offers, units of whole machines.

    Parameters
        weight_per_gpu    What one GPU of each offer weighs, e.g. its price [$/h], shape (num_offers,).
    """
    single = np.array([offer.num_gpus == 1 for offer in offers])
    per_copy = candidates.per_gpu(np.where(single, weight_per_gpu, 0.0))
    num_gpus = np.array([offer.num_gpus for offer in offers])
    per_unit = (num_gpus * weight_per_gpu)[layout.machine_offer]
    weights = np.concatenate([per_copy, per_unit])
    columns = np.concatenate([layout.copies, layout.machines])
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
    program.add_row("budget", "", columns, costs, upper=budget)


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
                program.add_row(label, name, columns, weights, upper=float(cap))


def define_objective(
    program: Program, layout: Layout, candidates: CandidateSet, problem: PlanProblem, offers: tuple[Offer, ...]
) -> None:
    """Throughput: maximise theta, cheaper first among equals. Cost: minimise money with theta = 1 and its head-room.

    Notes           With several thetas, that of service s counts sum_(w of s) weight_w lambda_w over the sum of all.
    """
    columns, costs = weigh_columns(layout, candidates, offers, gpu_prices(offers))
    program.cost[columns] = objective_per_dollar(problem) * costs
    if problem.objective is Objective.COST:
        program.lower[layout.services] = program.upper[layout.services] = 1.0 + problem.aim.headroom
        return
    program.maximize = True
    counts = request_weights(problem) * layout.asked_req_per_s
    served = layout.service_of_workload[: layout.num_asked]
    program.cost[layout.services] = np.bincount(served, counts) / max(counts.sum(), 1e-300)
    if problem.aim.serve is not Serve.MIX:
        first_of_service = np.unique(layout.service_of_workload, return_index=True)[1]
        program.lower[layout.services] = floors(problem)[first_of_service] / layout.unit
    if problem.ends_at_the_demand:
        program.upper[layout.services] = 1.0 / layout.unit


def objective_per_dollar(problem: PlanProblem) -> float:
    """Weight of money in the objective [per $/h]; 0 where nothing in stock is left to pay for."""
    if problem.objective is Objective.COST:
        return 1.0
    money = most_money(problem)
    return -COST_TIE_BREAK / money if money > 0 else 0.0
