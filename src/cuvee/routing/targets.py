"""Where requests of a plan may go: its workload types, its groups, and how many requests keep one replica busy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.gpus import load_gpu_types
from cuvee.catalog.model import ModelSpec
from cuvee.plan.check.rates import links_of_group
from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.result import Group, Plan
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.calibrated import CalibratedProvider
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.memory import kv_capacity_tokens
from cuvee.profile.phases import AnalyticPhases, Phase
from cuvee.profile.table import ThroughputTable
from cuvee.workload.latency_limits import LatencyLimits, LatencyObjective
from cuvee.workload.records import WorkloadType

Floats = NDArray[np.float64]

ANY_TIME_S = 1e9
"""A limit that everything keeps: latencies are reckoned where there is one [s]."""


def gpus_of(plan: Plan) -> dict[str, GpuType]:
    """GPU types that the plan speaks of, by name."""
    return {**load_gpu_types(), **{gpu.name: gpu for gpu in plan.inputs.gpus}}


def kinds_of(plan: Plan, group: Group) -> list[tuple[int, WorkloadType]]:
    """Row of the plan's assignment and workload type of everything that `group` can serve."""
    demands = {entry.model.name: entry.demand for entry in plan.inputs.problem.models}
    types = {kind.name: kind for kind in demands[group.model].types}
    asked = {cell.workload for cell in group.cells}
    return [
        (place, types[row.workload])
        for place, row in enumerate(plan.assignment)
        if row.model == group.model and row.workload in asked
    ]


def group_table(
    plan: Plan, group: Group, model: ModelSpec, gpus: Mapping[str, GpuType], kinds: Sequence[WorkloadType]
) -> tuple[AnalyticProvider, ThroughputTable]:
    """The analytic model of the replicas of `group`, with the constants fitted to them, and its rates on `kinds`."""
    inputs, models = plan.inputs, {model.name: model}
    fitted = CalibratedProvider(
        inputs.calibrated, models, gpus, inputs.engine, inputs.network_gb_per_s, inputs.problem.mixes
    )
    provider = fitted.analytic_for(group.config)
    if group.phase is Phase.BOTH:
        return provider, provider.table([group.config], kinds)
    links = links_of_group(plan, group)
    return provider, AnalyticPhases(provider).phase_table(group.phase, [group.config], [links], kinds)


def steady_sequences(plan: Plan) -> Floats:
    """B: requests of each row of the plan that keep one replica of each group as busy as it gets.

    Returns     shape (num_rows, num_groups) [-], 1 or more; 0 where the group cannot serve the row.
    Notes       By the analytic model, as the simulator has it. Of a model without a shape by Little's law, the rate of
                the plan times how long a request takes; where the plan does not say that, the engine's own limit.
    """
    models = {entry.model.name: entry.model for entry in plan.inputs.problem.models}
    gpus = gpus_of(plan)
    steady = np.zeros((len(plan.assignment), len(plan.groups)))
    for column, group in enumerate(plan.groups):
        mine = kinds_of(plan, group)
        places, kinds = [place for place, _ in mine], [kind for _, kind in mine]
        if models[group.model].shape_known:
            _, table = group_table(plan, group, models[group.model], gpus, kinds)
            steady[places, column] = np.maximum(table.num_sequences[0], 1.0)
        else:
            cells = {cell.workload: cell for cell in group.cells}
            most = plan.inputs.engine.max_num_seqs
            steady[places, column] = [_by_littles_law(cells[kind.name], kind, most) for kind in kinds]
    return steady


def cache_tokens(plan: Plan) -> list[float]:
    """Room of the cache of one replica of each group of the plan [tokens]; inf where its model has no shape."""
    models = {entry.model.name: entry.model for entry in plan.inputs.problem.models}
    gpus = gpus_of(plan)
    room = []
    for group in plan.groups:
        model, kinds = models[group.model], [kind for _, kind in kinds_of(plan, group)]
        if model.shape_known:
            provider, _ = group_table(plan, group, model, gpus, kinds)
            room.append(kv_capacity_tokens(model, group.config, provider.gpus, provider.engine))
        else:
            room.append(np.inf)
    return room


def latencies(plan: Plan, occupancies: Sequence[float]) -> tuple[Floats, Floats]:
    """Time to first token and per output token of each row on each group, by how occupied its replicas are.

    Returns     shape (num_occupancies, num_rows, num_groups) [s], the 95th percentile by the estimated latency curve,
                stretched to the rates of the plan; of a model without a shape what the plan states at its rates; inf
                where nothing is known or the group cannot serve the row.
    """
    models = {entry.model.name: entry.model for entry in plan.inputs.problem.models}
    gpus = gpus_of(plan)
    shape = (len(occupancies), len(plan.assignment), len(plan.groups))
    ttft_s, tpot_s = np.full(shape, np.inf), np.full(shape, np.inf)
    for column, group in enumerate(plan.groups):
        mine = kinds_of(plan, group)
        places, kinds = [place for place, _ in mine], [kind for _, kind in mine]
        cells = {cell.workload: cell for cell in group.cells}
        if not models[group.model].shape_known:
            for place, kind in mine:
                cell = cells[kind.name]
                if cell.ttft_s and cell.tpot_s is not None:
                    ttft_s[:, place, column], tpot_s[:, place, column] = cell.ttft_s, cell.tpot_s
            continue
        provider, table = group_table(plan, group, models[group.model], gpus, kinds)
        known = np.array([[saturated_req_per_s(cells[kind.name]) for kind in kinds]])
        objective = LatencyObjective(LatencyLimits(ttft_s=ANY_TIME_S, statistic="p95"))
        # A copy of the provider stands for whatever the plan's rates come from: its times are stretched to those.
        curves = LimitedProvider(replace(provider), provider, {group.model: objective})
        for level, occupancy in enumerate(occupancies):
            found = curves.latency_at_occupancy(replace(table, rate_req_per_s=known), occupancy)
            ttft_s[level, places, column], tpot_s[level, places, column] = found.ttft_s[0], found.tpot_s[0]
    return ttft_s, tpot_s


def saturated_req_per_s(cell: Cell) -> float:
    """Rate of a cell without latency limits [req/s]."""
    return cell.rate_req_per_s if cell.under_load is None else cell.under_load.saturated_req_per_s


def _by_littles_law(cell: Cell, kind: WorkloadType, most: int) -> float:
    """Requests that one replica holds at its rate on `kind` [-]."""
    held_s = (cell.ttft_s or 0.0) + max(kind.output_tokens - 1, 0.0) * (cell.tpot_s or 0.0)
    return min(max(cell.rate_req_per_s * held_s, 1.0), most) if held_s > 0 else float(most)
