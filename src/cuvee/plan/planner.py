"""The verb `plan`: candidates, pruning, the program, and its answer read back as a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.gpus import load_gpu_types
from cuvee.errors import DoesNotFitError, InputError
from cuvee.plan.candidates import CandidateSet, generate_candidates
from cuvee.plan.dominance import prune_dominated
from cuvee.plan.formulation import COST_TIE_BREAK, Layout, gpu_prices
from cuvee.plan.infeasible import explain_infeasible
from cuvee.plan.placement import usable_gpus
from cuvee.plan.problem import Objective, PlanProblem
from cuvee.plan.program import Answer, Program, Termination, solve
from cuvee.plan.result import (
    AssignmentRow,
    Cell,
    Group,
    Plan,
    PlanInputs,
    RentedGpus,
    RentedMachines,
    makespan_s,
)
from cuvee.plan.runners_up import find_runners_up
from cuvee.plan.search import search
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.engine import EngineSettings, find_engine
from cuvee.profile.memory import free_bytes_per_gpu
from cuvee.profile.table import Provenance, ThroughputProvider

NETWORK_GB_PER_S = 0.625
"""Link between machines where none is stated [GB/s]: the 5 Gb/s Ethernet of the reference setting."""

ZERO_LOAD = 1e-9
"""A load factor this small serves nobody: some workload type has no replica [-]."""

SHARE_FLOOR = 1e-9
"""Shares below this are the solver's rounding, not decisions [-]."""


@dataclass(frozen=True, eq=False)
class PreparedProblem:
    """A problem with its candidates: what plans and baselines on equal terms share.

    Attributes
        candidates    Dominated ones dropped.
        fitting       All that fit and the budget can buy.
    """

    problem: PlanProblem
    candidates: CandidateSet
    fitting: CandidateSet
    inputs: PlanInputs
    provider: ThroughputProvider
    gpus: Mapping[str, GpuType]


def prepare(
    problem: PlanProblem,
    *,
    engine: EngineSettings | None = None,
    network_gb_per_s: float = NETWORK_GB_PER_S,
    provider: ThroughputProvider | None = None,
    gpus: Mapping[str, GpuType] | None = None,
    scenario: str = "",
    must_fit: bool = True,
) -> PreparedProblem:
    """Generate and prune the candidates of `problem`.

    Parameters
        engine              Engine constants; the default engine where None.
        network_gb_per_s    Link between machines, one direction [GB/s].
        provider            Throughput of configurations; the analytic model of `engine` where None.
        gpus                GPU types by name; the catalogue where None.
        scenario            Where the problem comes from, kept in the plan.
        must_fit            Whether a model that fits no replica of any offer is an error.
    Raises                  DoesNotFitError: as `must_fit` says.
    """
    engine = engine or find_engine("vllm")
    gpus = load_gpu_types() if gpus is None else gpus
    models = {entry.model.name: entry.model for entry in problem.models}
    provider = provider or AnalyticProvider(models, gpus, engine, network_gb_per_s)
    fitting = generate_candidates(problem, provider, gpus, budget_usd_per_hour=problem.limits.budget_usd_per_hour)
    if must_fit and len(np.unique(fitting.model_index)) < len(problem.models):
        _require_fit(problem, generate_candidates(problem, provider, gpus), gpus, engine)
    candidates = prune_dominated(fitting)
    sources = tuple(dict.fromkeys(source for table in candidates.tables for source in table.sources))
    inputs = PlanInputs(problem, engine, network_gb_per_s, sources, scenario)
    return PreparedProblem(problem, candidates, fitting, inputs, provider, gpus)


def _require_fit(
    problem: PlanProblem, candidates: CandidateSet, gpus: Mapping[str, GpuType], engine: EngineSettings
) -> None:
    """Raise where a model fits no replica even if money were no matter."""
    for index, entry in enumerate(problem.models):
        if (candidates.model_index == index).any():
            continue
        sizes = [
            offer.max_units * offer.num_gpus * free_bytes_per_gpu(gpus[offer.gpu], engine)
            for offer in problem.offers.offers
        ]
        longest = max(kind.input_tokens + kind.output_tokens for kind in entry.demand.types)
        shortest = min(kind.input_tokens + kind.output_tokens for kind in entry.demand.types)
        if shortest > entry.model.max_context:
            raise InputError(
                f"{entry.model.name} has a context of {entry.model.max_context:,} tokens; requests take "
                f"{shortest:,.0f} or more",
                expected="requests that fit the context, prompt and answer together",
                remedy="choose a model with a longer context, or a demand of shorter requests",
            )
        if not any(gpus[offer.gpu].can_hold_weights(entry.precision) for offer in problem.offers.offers):
            raise InputError(
                f"no GPU type on offer runs {entry.precision} weights of {entry.model.name}",
                expected="a GPU type that supports the precision",
                remedy="offer other GPUs, or choose another precision (--precision bf16)",
            )
        needed = entry.model.weight_bytes(entry.precision) + entry.model.kv_bytes(longest, entry.kv_precision)
        if needed > max(sizes):
            raise DoesNotFitError(
                f"{entry.model.name} in {entry.precision} with {longest:.0f} tokens per request",
                needed_gb=needed / 1e9,
                available_gb=max(sizes) / 1e9,
            )


def plan_prepared(prepared: PreparedProblem, *, explain: bool = True) -> Plan:
    """Solve a prepared problem; see `plan`. Runners-up and reasons for having no plan only where `explain` asks."""
    problem, candidates = prepared.problem, prepared.candidates
    if not len(candidates):
        return _without_plan(prepared, Termination.INFEASIBLE, 0.0, explain=explain)
    found = search(problem, candidates)
    program, layout, answer, pricing = found.program, found.layout, found.answer, found.pricing
    searched = replace(prepared, candidates=candidates.select(np.isin(np.arange(len(candidates)), found.rows)))
    if not len(answer.x):
        return _without_plan(prepared, answer.termination, answer.seconds, explain=explain)
    copies = np.round(answer.x[: layout.num_candidates]).astype(np.int64)
    settled = settle(program, layout, copies, prepared)
    if settled.x[layout.load_factor] <= ZERO_LOAD:
        proven = answer.termination is Termination.OPTIMAL
        nothing = Termination.INFEASIBLE if proven else Termination.NOTHING_FOUND
        return _without_plan(prepared, nothing, answer.seconds, explain=explain)
    result = replace(read_plan(searched, layout, copies, settled, answer), num_candidates=len(candidates))
    if not explain or pricing is None:
        return result
    rented = found.rows[copies > 0]
    return replace(result, runners_up=find_runners_up(candidates, pricing, rented, problem))


def settle(program: Program, layout: Layout, copies: NDArray[np.int64], prepared: PreparedProblem) -> Answer:
    """Best assignment on a fixed fleet: theta as large as `copies` allow, whatever the objective was."""
    fixed = program.relaxed()
    fixed.cost = np.zeros_like(program.cost)
    fixed.cost[layout.load_factor] = 1.0
    fixed.maximize = True
    fixed.lower, fixed.upper = program.lower.copy(), program.upper.copy()
    fixed.lower[: layout.num_candidates] = fixed.upper[: layout.num_candidates] = copies
    fixed.lower[layout.load_factor], fixed.upper[layout.load_factor] = 0.0, np.inf
    # The fleet keeps its limits already, but for rounding: a hair above one must not leave it without an assignment.
    limits = layout.rate.shape[1] + layout.num_candidates
    fixed.row_upper = [*program.row_upper[:limits], *[np.inf] * (len(program.row_upper) - limits)]
    return solve(fixed, replace(prepared.problem.search, time_limit_s=None))


def read_plan(
    prepared: PreparedProblem, layout: Layout, copies: NDArray[np.int64], settled: Answer, answer: Answer
) -> Plan:
    """The plan that `copies` and the settled assignment stand for, with the bound that `answer` proves."""
    problem = prepared.problem
    load_factor = float(settled.x[layout.load_factor])
    demanded = float(layout.demand_req_per_s.sum())
    demand_unit = demanded / sum(map(sum, problem.rates_req_per_s))  # the program counts theta in units of its own
    busy = np.zeros_like(layout.rate)
    busy[layout.pair_candidate, layout.pair_workload] = settled.x[layout.busy]
    served = layout.rate * busy
    shares = served / np.maximum(served.sum(axis=0), 1e-300)
    shares[shares < SHARE_FLOOR] = 0.0
    shares /= shares.sum(axis=0)

    machines = _machines(problem, layout, prepared.candidates, copies)
    chosen = _by_falling_cost(prepared.candidates, copies)
    ids = {candidate: f"g{rank}" for rank, candidate in enumerate(chosen, start=1)}
    # Rates follow from the shares alone, so that whoever reads the plan can recompute them.
    rates = shares * (load_factor * layout.demand_req_per_s)
    groups = tuple(_group(ids[row], row, copies[row], prepared, layout, rates[row]) for row in chosen)
    cost = sum(group.cost_usd_per_hour for group in groups) + sum(rented.idle_cost_usd_per_hour for rented in machines)
    rate = load_factor * demanded
    throughput = problem.objective is Objective.THROUGHPUT
    objective = rate if throughput else cost
    bound = _bound(answer, layout, objective, problem)
    return Plan(
        termination=answer.termination,
        objective_name=problem.objective,
        objective=objective,
        bound=bound,
        gap=None if bound is None else abs(bound - objective) / abs(objective),
        rate_req_per_s=rate,
        num_requests=problem.num_requests,
        makespan_s=makespan_s(problem, load_factor * demand_unit),
        cost_usd_per_hour=cost,
        groups=groups,
        assignment=_assignment(problem, shares, ids),
        machines=machines,
        runners_up=(),
        num_candidates_generated=prepared.candidates.num_generated,
        num_candidates=len(prepared.candidates),
        solve_seconds=answer.seconds,
        inputs=prepared.inputs,
    )


def _bound(answer: Answer, layout: Layout, objective: float, problem: PlanProblem) -> float | None:
    """Proven bound in the objective's unit; None where the solver has none.

    The throughput objective carries a small price on money; adding back the most it can be keeps the bound valid.
    """
    if not np.isfinite(answer.bound):
        return None
    if problem.objective is Objective.COST:
        return min(answer.bound, objective)
    return max((answer.bound + COST_TIE_BREAK) * float(layout.demand_req_per_s.sum()), objective)


def _by_falling_cost(candidates: CandidateSet, copies: NDArray[np.int64]) -> list[int]:
    chosen = np.flatnonzero(copies)
    cost = candidates.price_usd_per_hour[chosen] * copies[chosen]
    return [int(row) for row in chosen[np.lexsort((chosen, -cost))]]


def _group(
    name: str, row: int, copies: np.int64, prepared: PreparedProblem, layout: Layout, rates: NDArray[np.float64]
) -> Group:
    candidates, problem = prepared.candidates, prepared.problem
    placement = candidates.placements[row]
    config = placement.config
    price = float(candidates.price_usd_per_hour[row])
    able = layout.rate[row] > 0
    load = float((rates[able] / layout.rate[row][able]).sum()) / int(copies)
    return Group(
        id=name,
        model=config.model,
        stages=config.stages,
        precision=config.precision,
        kv_precision=config.kv_precision,
        spans_machines=config.spans_machines,
        copies=int(copies),
        price_usd_per_hour=price,
        cost_usd_per_hour=price * int(copies),
        rate_req_per_s=float(rates.sum()),
        utilization=load,
        rented=tuple(_rented(problem, offer, count) for offer, count in placement.gpus_per_offer),
        cells=_cells(candidates, row, problem),
    )


def _rented(problem: PlanProblem, index: int, count: int) -> RentedGpus:
    offer = problem.offers.offers[index]
    return RentedGpus(index, offer.label, offer.gpu, offer.seller, offer.region, count, offer.spot)


def _cells(candidates: CandidateSet, row: int, problem: PlanProblem) -> tuple[Cell, ...]:
    model = int(candidates.model_index[row])
    table = candidates.tables[model]
    line = int((candidates.model_index[:row] == model).sum())
    return tuple(
        Cell(
            workload=kind.name,
            rate_req_per_s=float(table.rate_req_per_s[line, column]),
            provenance=Provenance(table.provenance[line, column]),
            relative_error=_finite(table.relative_error[line, column]),
            ttft_s=float(table.ttft_s[line, column]),
            tpot_s=float(table.tpot_s[line, column]),
        )
        for column, kind in enumerate(problem.models[model].demand.types)
        if table.fits[line, column]
    )


def _finite(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None


def _assignment(problem: PlanProblem, shares: NDArray[np.float64], ids: dict[int, str]) -> tuple[AssignmentRow, ...]:
    kinds = [
        (entry.model.name, kind, rate)
        for entry, rates in zip(problem.models, problem.rates_req_per_s, strict=True)
        for kind, rate in zip(entry.demand.types, rates, strict=True)
    ]
    return tuple(
        AssignmentRow(
            model,
            kind.name,
            kind.input_tokens,
            kind.output_tokens,
            rate,
            {ids[row]: float(shares[row, column]) for row in sorted(ids) if shares[row, column] > 0},
        )
        for column, (model, kind, rate) in enumerate(kinds)
    )


def _machines(
    problem: PlanProblem, layout: Layout, candidates: CandidateSet, copies: NDArray[np.int64]
) -> tuple[RentedMachines, ...]:
    """Whole machines that the copies need: the GPUs used, rounded up to machines."""
    prices = gpu_prices(problem.offers.offers)
    used = copies @ candidates.usage
    machines = []
    for index in layout.machine_offer:
        offer = problem.offers.offers[index]
        if not used[index]:
            continue
        units = -(-int(used[index]) // usable_gpus(offer))
        idle = units * offer.num_gpus - int(used[index])
        machines.append(
            RentedMachines(
                int(index),
                offer.label,
                units,
                offer.num_gpus,
                idle,
                units * offer.price_usd_per_hour,
                idle * float(prices[index]),
            )
        )
    return tuple(machines)


def _without_plan(prepared: PreparedProblem, termination: Termination, seconds: float, *, explain: bool) -> Plan:
    problem = prepared.problem
    message = "no fleet serves the demand within the limits"
    if termination is Termination.NOTHING_FOUND:
        message = f"the solver stopped after {seconds:.1f} s without a plan; give it longer with --time-limit"
    elif explain:
        # What more money could buy was left out so far.
        everything = generate_candidates(problem, prepared.provider, prepared.gpus)
        gpus, engine = prepared.gpus, prepared.inputs.engine
        message = explain_infeasible(problem, prune_dominated(everything), gpus=gpus, engine=engine)
    return Plan(
        termination=termination,
        objective_name=problem.objective,
        objective=0.0,
        bound=None,
        gap=None,
        rate_req_per_s=0.0,
        num_requests=problem.num_requests,
        makespan_s=None,
        cost_usd_per_hour=0.0,
        groups=(),
        assignment=(),
        machines=(),
        runners_up=(),
        num_candidates_generated=prepared.candidates.num_generated,
        num_candidates=len(prepared.candidates),
        solve_seconds=seconds,
        inputs=prepared.inputs,
        message=message,
    )


def plan(
    problem: PlanProblem,
    *,
    engine: EngineSettings | None = None,
    network_gb_per_s: float = NETWORK_GB_PER_S,
    provider: ThroughputProvider | None = None,
    gpus: Mapping[str, GpuType] | None = None,
    scenario: str = "",
) -> Plan:
    """What to rent, how to deploy it and which requests go where.

    Parameters      as of `prepare`.
    Returns         a plan with its proof: see `Plan.termination`. An infeasible problem is an answer too; it names
                    the limit that binds and the smallest change that helps.
    Raises          DoesNotFitError: a model fits no replica. SolverError: the solver failed.
    Source          Jiang et al., ICML 2025, eq. 1-12, in the bisection-free form of docs/formulation.md.
    """
    prepared = prepare(
        problem, engine=engine, network_gb_per_s=network_gb_per_s, provider=provider, gpus=gpus, scenario=scenario
    )
    return plan_prepared(prepared)
