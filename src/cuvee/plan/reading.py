"""Reading: the plan that whole copies and a settled assignment stand for."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.candidates.placement import usable_gpus
from cuvee.plan.outcome.cell import Cell, index_of_source, known_band, known_latency
from cuvee.plan.outcome.latency_reading import with_latency
from cuvee.plan.outcome.machine_packing import packed
from cuvee.plan.outcome.rented_machines import RentedMachines
from cuvee.plan.outcome.result import (
    AssignmentRow,
    Group,
    Plan,
    PlanInputs,
    RentedGpus,
    makespan_s,
)
from cuvee.plan.program.formulation import COST_TIE_BREAK, gpu_prices, request_weights
from cuvee.plan.program.layout import Layout, first_workloads
from cuvee.plan.program.preparation import PreparedProblem
from cuvee.plan.program.running import first_of_same, moves_usd_per_hour
from cuvee.plan.program.shares import SHARE_FLOOR, shares_of
from cuvee.plan.question.aim import Serve
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.solver.program import Answer
from cuvee.profile.phases import Phase
from cuvee.profile.providers import calibrated_provider, measured_table
from cuvee.profile.table import Provenance, RateSource


def read_plan(
    prepared: PreparedProblem, layout: Layout, copies: NDArray[np.int64], settled: Answer, answer: Answer
) -> Plan:
    """The plan that `copies` and the settled assignment stand for, with the bound that `answer` proves."""
    problem = prepared.problem
    service = layout.service_of_workload[: layout.num_asked]
    load_factor = np.abs(settled.x[layout.services])[service] * layout.unit  # no -0.0
    load_factor[load_factor < SHARE_FLOOR] = 0.0
    demanded = layout.asked_req_per_s / layout.unit  # the program counts theta in units of its own
    served = np.zeros((layout.num_candidates, layout.num_workloads))
    served[layout.pair_candidate, layout.pair_workload] = settled.x[layout.busy]
    copies, served = _together(prepared.candidates, copies, served)
    shares = shares_of(layout, served, settled.x[layout.flows])

    chosen = _by_falling_cost(prepared.candidates, copies)
    ids = {candidate: f"g{rank}" for rank, candidate in enumerate(chosen, start=1)}
    # Rates follow from the shares alone, so that whoever reads the plan can recompute them.
    rates = shares * (load_factor * demanded)
    sources: list[RateSource] = []
    groups = tuple(_group(ids[row], row, copies[row], prepared, rates[row], sources) for row in chosen)
    machines = _machines(problem, layout, prepared.candidates, copies, groups)
    cost = sum(group.cost_usd_per_hour for group in groups) + sum(rented.idle_cost_usd_per_hour for rented in machines)
    rate = float(load_factor @ demanded)
    throughput = problem.objective is Objective.THROUGHPUT
    spent = cost + moves_usd_per_hour(problem, groups)
    objective = float(load_factor @ (request_weights(problem) * demanded)) if throughput else spent
    bound = _bound(answer, layout, objective, problem)
    found = Plan(
        termination=answer.termination,
        objective_name=problem.objective,
        objective=objective,
        bound=bound,
        gap=None if bound is None else abs(bound - objective) / abs(objective),
        rate_req_per_s=rate,
        num_requests=problem.num_requests,
        makespan_s=makespan_s(problem, float(load_factor[0])) if problem.aim.serve is Serve.MIX else None,
        cost_usd_per_hour=cost,
        groups=groups,
        assignment=_assignment(prepared, shares, ids, load_factor),
        machines=machines,
        runners_up=(),
        num_candidates_generated=prepared.candidates.num_generated,
        num_candidates=len(prepared.candidates),
        solve_seconds=answer.seconds,
        inputs=replace(_inputs_of(prepared, groups), rate_sources=tuple(sources)),
        excluded=prepared.excluded,
        stopped_by=answer.stopped_by,
    )
    return with_latency(found, prepared.provider)


def _together(
    candidates: CandidateSet, copies: NDArray[np.int64], served: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Copies and what they serve, with kept and added copies of one configuration counted as one candidate."""
    first = first_of_same(candidates, copies)
    all_copies, all_served = np.zeros_like(copies), np.zeros_like(served)
    np.add.at(all_copies, first, copies)
    np.add.at(all_served, first, served)
    return all_copies, all_served


def _inputs_of(prepared: PreparedProblem, groups: Sequence[Group]) -> PlanInputs:
    """The inputs, with the lines of throughput tables and the fitted constants that `groups` stand on."""
    table, fitted = measured_table(prepared.provider), calibrated_provider(prepared.provider)
    if table is None and fitted is None:
        return prepared.inputs
    current = prepared.problem.current.groups if prepared.problem.current else ()
    configs = dict.fromkeys((*(group.config for group in groups), *(group.config for group in current)))
    found = replace(prepared.inputs, calibrated=fitted.replicas_of(configs)) if fitted else prepared.inputs
    if table is None:
        return found
    return replace(found, measured_rates=table.rates_of(configs), length_tolerance=table.length_tolerance)


def _bound(answer: Answer, layout: Layout, objective: float, problem: PlanProblem) -> float | None:
    """Proven bound in the objective's unit, no worse than `objective`; None where the solver has none."""
    bound = proven_bound(answer, layout, problem)
    if bound is None:
        return None
    return min(bound, objective) if problem.objective is Objective.COST else max(bound, objective)


def proven_bound(answer: Answer, layout: Layout, problem: PlanProblem) -> float | None:
    """What no plan over the candidates searched beats, in the objective's unit; None where the solver has no bound.

    Notes           The throughput objective carries a small price on money; adding back the most it can be keeps the
                    bound valid.
    """
    if not np.isfinite(answer.bound):
        return None
    if problem.objective is Objective.COST:
        return float(answer.bound)
    counts = float((request_weights(problem) * layout.asked_req_per_s).sum())
    return float(answer.bound + COST_TIE_BREAK) * counts


def _by_falling_cost(candidates: CandidateSet, copies: NDArray[np.int64]) -> list[int]:
    chosen = np.flatnonzero(copies)
    cost = candidates.price_usd_per_hour[chosen] * copies[chosen]
    return [int(row) for row in chosen[np.lexsort((chosen, -cost))]]


def _group(
    name: str,
    row: int,
    copies: np.int64,
    prepared: PreparedProblem,
    rates: NDArray[np.float64],
    sources: list[RateSource],
) -> Group:
    candidates, problem = prepared.candidates, prepared.problem
    placement = candidates.placement(row)
    config = placement.config
    price = float(candidates.price_usd_per_hour[row])
    table = int(candidates.model_index[row])
    mine = slice(*first_workloads(candidates)[candidates.model_of_table(table) :][:2])
    own = candidates.tables[table].rate_req_per_s[candidates.config[row]] * candidates.availability[row]
    load = float((rates[mine][own > 0] / own[own > 0]).sum()) / int(copies)
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
        cells=_cells(candidates, row, problem, sources),
        phase=candidates.phase_of_table(table),
        keeps_to=config.keeps_to,
    )


def _rented(problem: PlanProblem, index: int, count: int) -> RentedGpus:
    offer = problem.offers.offers[index]
    return RentedGpus(index, offer.label, offer.gpu, offer.seller, offer.region, count, offer.spot, offer.as_of)


def _cells(candidates: CandidateSet, row: int, problem: PlanProblem, sources: list[RateSource]) -> tuple[Cell, ...]:
    """Rates of one candidate; where they come from is added to `sources`."""
    index = int(candidates.model_index[row])
    table, model = candidates.tables[index], candidates.model_of_table(index)
    line = int(candidates.config[row])
    return tuple(
        Cell(
            workload=kind.name,
            rate_req_per_s=float(table.rate_req_per_s[line, column] * candidates.availability[row]),
            provenance=Provenance(table.provenance[line, column]),
            relative_error=known_band(table.relative_error[line, column]),
            ttft_s=known_latency(table.ttft_s[line, column]),
            tpot_s=known_latency(table.tpot_s[line, column]),
            source=index_of_source(table.source_of(line, column), sources),
        )
        for column, kind in enumerate(problem.models[model].demand.types)
        if table.fits[line, column]
    )


def _assignment(
    prepared: PreparedProblem, shares: NDArray[np.float64], ids: dict[int, str], load_factor: NDArray[np.float64]
) -> tuple[AssignmentRow, ...]:
    problem, candidates = prepared.problem, prepared.candidates
    decoding = {row for row in ids if candidates.phase_of_table(int(candidates.model_index[row])) is Phase.DECODE}

    def given(column: int, rows: set[int]) -> dict[str, float]:
        return {ids[row]: float(shares[row, column]) for row in sorted(rows) if shares[row, column] > 0}

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
            given(column, ids.keys() - decoding),
            None if problem.aim.serve is Serve.MIX else float(load_factor[column]),
            given(column, decoding),
        )
        for column, (model, kind, rate) in enumerate(kinds)
    )


def _machines(
    problem: PlanProblem,
    layout: Layout,
    candidates: CandidateSet,
    copies: NDArray[np.int64],
    groups: Sequence[Group],
) -> tuple[RentedMachines, ...]:
    """Whole machines that the copies need: the GPUs used, rounded up to machines; and what stands in them."""
    prices = gpu_prices(problem.offers.offers)
    used = candidates.gpus_taken(copies, len(prices))
    machines = []
    for index in layout.machine_offer:
        offer = problem.offers.offers[index]
        if not used[index]:
            continue
        units = -(-int(used[index]) // usable_gpus(offer))
        idle = units * offer.num_gpus - int(used[index])
        rented = RentedMachines(
            int(index),
            offer.label,
            units,
            offer.num_gpus,
            idle,
            units * offer.price_usd_per_hour,
            idle * float(prices[index]),
        )
        machines.append(packed(rented, groups, offer))
    return tuple(machines)
