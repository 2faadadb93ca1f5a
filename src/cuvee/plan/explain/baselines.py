"""Baselines: what simpler ways of choosing a fleet reach, on the same candidates and limits.

All rent whole replicas, whatever the plan may do. Each takes away one freedom of the plan, so under the same stock
none can beat it; only single GPU types with unlimited stock, the reference used in the literature, can.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.formulation import build_program
from cuvee.plan.program.layout import Layout
from cuvee.plan.program.preparation import PreparedProblem, prepare_again
from cuvee.plan.question.aim import Serve
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.reading import read_plan
from cuvee.plan.search.greedy import greedy_copies
from cuvee.plan.search.settling import settle
from cuvee.plan.solver.program import Answer, Array, Termination
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays

UNLIMITED_UNITS = 10_000
"""Rental units that stand for "as many as wanted" [-]."""


@dataclass(frozen=True)
class Baseline:
    """A simpler way of choosing a fleet and what it reaches.

    Attributes
        name         "only A40", "round-robin assignment", ...
        same_stock   Whether it keeps to the same stock; a plan can only lose to one that does not.
        plan         What it would rent; without groups where it cannot serve the demand.
    """

    name: str
    same_stock: bool
    plan: Plan


def single_type(prepared: PreparedProblem, gpu: str) -> Baseline:
    """Best plan on one GPU type within the stock."""
    others = np.array([offer.gpu != gpu for offer in prepared.problem.offers.offers])
    alone = ~prepared.candidates.stands_on(others)
    return Baseline(f"only {gpu}", same_stock=True, plan=plan_prepared(selected(prepared, alone), explain=False))


def single_type_unlimited(prepared: PreparedProblem, gpu: str) -> Baseline:
    """Best plan on one GPU type if every offer of it had as many GPUs as wanted; the caller's caps stay."""
    problem = prepared.problem
    offers = tuple(
        replace(offer, stock=UNLIMITED_UNITS if offer.gpu == gpu and offer.max_units > 0 else 0)
        for offer in problem.offers.offers
    )
    unlimited = replace(problem, offers=replace(problem.offers, offers=offers), disaggregate=False)
    again = prepare_again(prepared, unlimited, must_fit=False)
    return Baseline(f"only {gpu}, unlimited stock", same_stock=False, plan=plan_prepared(again, explain=False))


def even_budget(prepared: PreparedProblem) -> Baseline | None:
    """Budget split evenly over the GPU types that can hold a replica, one type per replica; None without a budget."""
    problem = prepared.problem
    budget = problem.limits.budget_usd_per_hour
    if budget is None:
        return None
    types = _usable_types(prepared)
    if not types:
        return None
    share = budget / len(types)
    caps = {gpu: min(share, problem.limits.max_usd_per_hour_per_gpu.get(gpu, share)) for gpu in types}
    capped = replace(problem, limits=replace(problem.limits, max_usd_per_hour_per_gpu=caps))
    return Baseline(
        "even budget over types",
        same_stock=True,
        plan=restricted(replace(prepared, problem=capped), prepared.candidates.offers[:, 1] < 0),
    )


def _usable_types(prepared: PreparedProblem) -> list[str]:
    """GPU types that some affordable replica stands on alone, in the order of the offers."""
    offers = prepared.problem.offers.offers
    candidates = prepared.candidates
    alone = {offers[index].gpu for index in np.unique(candidates.offers[candidates.offers[:, 1] < 0, 0])}
    return [gpu for gpu in gpu_types_on_offer(prepared.problem) if gpu in alone]


def one_tensor_parallel_size(prepared: PreparedProblem) -> list[Baseline]:
    """Best plan with one tensor-parallel degree everywhere, for each degree that can serve the demand."""
    candidates = prepared.candidates
    smallest, largest = np.zeros(len(candidates), dtype=np.int64), np.zeros(len(candidates), dtype=np.int64)
    for model, table in enumerate(candidates.tables):
        rows = np.flatnonzero(candidates.model_index == model)
        sizes = ReplicaArrays.of(table.configs).size[candidates.config[rows]]
        smallest[rows] = np.where(sizes > 0, sizes, sizes.max(initial=1)).min(axis=1)
        largest[rows] = sizes.max(axis=1)
    return [
        Baseline(
            f"TP{size} everywhere",
            same_stock=True,
            plan=restricted(prepared, (smallest == size) & (largest == size)),
        )
        for size in np.unique(largest).tolist()
    ]


def round_robin(prepared: PreparedProblem, plan: Plan) -> Baseline:
    """The plan's own fleet with every request type spread evenly over the replicas that can serve it."""
    copies = copies_of(plan, prepared.candidates)
    spread_evenly = spread(prepared, copies, np.ones(len(copies)))
    return Baseline("round-robin assignment", same_stock=True, plan=spread_evenly)


def spread(prepared: PreparedProblem, copies: NDArray[np.int64], weight: Array) -> Plan:
    """A given fleet with every request type spread over the replicas that can serve it, in proportion to `weight`.

    Parameters
        copies, weight    Of each candidate, shape (num_candidates,).
    """
    prepared, weight, copies = selected(prepared, copies > 0), weight[copies > 0], copies[copies > 0]
    program, layout = build_program(prepared.problem, prepared.candidates)
    able = (layout.rate > 0) * (copies * weight)[:, None]
    shares = able / np.maximum(able.sum(axis=0), 1e-300)
    load = np.where(layout.rate > 0, shares * layout.demand_req_per_s / np.maximum(layout.rate, 1e-300), 0.0)
    used = copies > 0
    load_factor = float((copies[used] / np.maximum(load.sum(axis=1)[used], 1e-300)).min())
    x = np.zeros(len(program.cost))
    x[: layout.num_candidates] = copies
    x[layout.busy] = load_factor * shares[layout.pair_candidate, layout.pair_workload]
    x[layout.load_factor] = load_factor
    return _from_columns(prepared, layout, copies, x)


def greedy(prepared: PreparedProblem) -> Baseline:
    """The fleet of `greedy_copies`, with the best assignment for it."""
    copies = greedy_copies(prepared.problem, prepared.candidates)
    rented = np.flatnonzero(copies)
    name, chosen = "greedy by rate per dollar", selected(prepared, copies > 0)
    if not len(rented):
        return Baseline(name, same_stock=True, plan=plan_prepared(chosen, explain=False))
    program, layout = build_program(prepared.problem, chosen.candidates)
    settled = settle(program, layout, copies[rented], prepared)
    return Baseline(name, same_stock=True, plan=_from_columns(chosen, layout, copies[rented], settled.x))


def compare(prepared: PreparedProblem, plan: Plan) -> Iterator[Baseline]:
    """Every baseline beside `plan`, one at a time: each may take a while.

    Notes           Beside a robust plan only those that are robust as well: the last two look at the estimates alone.
    """
    types = gpu_types_on_offer(prepared.problem)
    for gpu in types:
        yield single_type(prepared, gpu)
    if not prepared.problem.offers.unlimited:
        for gpu in types:
            yield single_type_unlimited(prepared, gpu)
    even = even_budget(prepared)
    if even is not None:
        yield even
    if all(entry.model.shape_known for entry in prepared.problem.models):
        yield from one_tensor_parallel_size(prepared)
    if prepared.problem.aim.serve is not Serve.MIX or prepared.problem.caution.robust_draws:
        return  # the ways below spread one mix, by the estimates
    if plan.has_plan:
        yield round_robin(prepared, plan)
    yield greedy(prepared)


def gpu_types_on_offer(problem: PlanProblem) -> list[str]:
    """GPU types with stock, in the order of the offers."""
    return list(dict.fromkeys(offer.gpu for offer in problem.offers.offers if offer.max_units > 0))


def copies_of(plan: Plan, candidates: CandidateSet) -> NDArray[np.int64]:
    """y_c of `plan` over `candidates`, shape (num_candidates,); what does one phase counts as the whole replica."""
    wanted: Counter[tuple[ReplicaConfig, tuple[tuple[int, int], ...]]] = Counter()
    for group in plan.groups:
        wanted[group.config, tuple((part.offer, part.num_gpus) for part in group.rented)] += group.copies
    found = np.zeros(len(candidates), dtype=np.int64)
    for row in np.flatnonzero(_may_stand(plan, candidates)):
        placement = candidates.placement(int(row))
        found[row] = wanted.get((placement.config, placement.gpus_per_offer), 0)
    return found


def _may_stand(plan: Plan, candidates: CandidateSet) -> NDArray[np.bool_]:
    """Candidates that take the same GPUs of the same offers as some group."""
    may = np.zeros(len(candidates), dtype=bool)
    for group in plan.groups:
        taken = [*((part.offer, part.num_gpus) for part in group.rented), (-1, 0)][:2]
        offers, gpus = np.array(taken).T
        may |= (candidates.offers == offers).all(axis=1) & (candidates.gpus == gpus).all(axis=1)
    return may


def selected(prepared: PreparedProblem, chosen: NDArray[np.bool_]) -> PreparedProblem:
    """`prepared` with the chosen candidates, as whole replicas."""
    problem = replace(prepared.problem, disaggregate=False)
    return replace(prepared, problem=problem, candidates=prepared.candidates.select(chosen))


def restricted(prepared: PreparedProblem, allowed: NDArray[np.bool_]) -> Plan:
    """Best plan over the allowed candidates."""
    return plan_prepared(selected(prepared, allowed), explain=False)


def _from_columns(prepared: PreparedProblem, layout: Layout, copies: NDArray[np.int64], x: Array) -> Plan:
    """The plan of hand-made columns; nothing is proven about it."""
    empty = np.zeros(0)
    unproven = Answer(Termination.FEASIBLE, x, 0.0, np.inf, empty, 0.0)
    if x[layout.load_factor] <= 0 or (
        prepared.problem.objective is Objective.COST and x[layout.load_factor] < 1 - 1e-9
    ):
        return plan_prepared(selected(prepared, np.zeros(layout.num_candidates, dtype=bool)), explain=False)
    return read_plan(prepared, layout, copies, unproven, unproven)
