"""Latency at the planned load: what the cells of a plan's groups say under latency limits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cuvee.plan.outcome.cell import Cell, UnderLoad
from cuvee.plan.outcome.result import Group, Plan
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.table import ThroughputProvider
from cuvee.workload.latency_limits import LABELS, LatencyLimits

CROWDED_ABOVE = 1.01
"""Load over a type's own highest load from which a mixture is worth a word [-]."""


def with_latency(plan: Plan, provider: ThroughputProvider) -> Plan:
    """`plan` with the latency of each limited type on each group, as busy as it is planned; itself without limits.

    Notes       Where the demand is known the load is what arrives, else all that the fleet sustains. A replica that
                serves several types is as busy with them together: the latency of each is that at the same share of
                its own highest load, alone.
    """
    if not isinstance(provider, LimitedProvider):
        return plan
    return replace(plan, groups=tuple(_with_latency(group, plan, provider) for group in plan.groups))


def planned_load(plan: Plan, group: Group) -> float:
    """Share of its highest load that a replica of `group` gets [-]."""
    return group.utilization * plan.served_req_per_s / plan.rate_req_per_s


@dataclass(frozen=True)
class WorstLatency:
    """A limited type at the planned load, on the group that serves it slowest.

    Attributes
        times_s    The longest latency of any group by the names of `LABELS` [s].
        share      The longest of them over its limit [-].
    """

    model: str
    workload: str
    limits: LatencyLimits
    times_s: Mapping[str, float]
    share: float


def worst_latencies(plan: Plan) -> Iterator[WorstLatency]:
    """Every limited type whose latency is known."""
    entries = {entry.model.name: entry for entry in plan.inputs.problem.models}
    cells = {(group.id, cell.workload): cell for group in plan.groups for cell in group.cells}
    for row in plan.assignment:
        objective = entries[row.model].latency
        limits = LatencyLimits() if objective is None else objective.of(row.workload)
        loads = [cells[name, row.workload].under_load for name, share in row.shares.items() if share > 0]
        known = [load for load in loads if load is not None]
        if limits.as_dict() and known:
            worst = {label: max(getattr(load, label) for load in known) for label in LABELS}
            share = max(worst[label] / limit for label, limit in limits.as_dict().items())
            yield WorstLatency(row.model, row.workload, limits, worst, share)


@dataclass(frozen=True)
class Crowding:
    """A limited type that shares a group's replicas with types that load them more than its own limits allow.

    Attributes
        busy_share    Load of the group by all that it serves, over what saturates it [-].
        own_share     The same at the highest load at which this type alone is within its limits [-].
    """

    group: str
    workload: str
    busy_share: float
    own_share: float


def crowding(plan: Plan) -> tuple[Crowding, ...]:
    """Where a mixture of types may miss limits that each type keeps alone."""
    demanded = sum(row.demand_req_per_s for row in plan.assignment)
    found = []
    for group in plan.groups:
        saturated = {cell.workload: _saturated_rate(cell) for cell in group.cells}
        served = {
            row.workload: row.shares[group.id] * row.demand_req_per_s * plan.served_req_per_s / demanded
            for row in plan.assignment
            if row.shares.get(group.id, 0.0) > 0
        }
        busy = sum(rate / saturated[workload] for workload, rate in served.items()) / group.copies
        for cell in group.cells:
            own = cell.rate_req_per_s / saturated[cell.workload]
            if cell.workload in served and cell.under_load is not None and busy > own * CROWDED_ABOVE:
                found.append(Crowding(group.id, cell.workload, busy, own))
    return tuple(found)


def _saturated_rate(cell: Cell) -> float:
    return cell.rate_req_per_s if cell.under_load is None else cell.under_load.saturated_req_per_s


def _with_latency(group: Group, plan: Plan, provider: LimitedProvider) -> Group:
    types = next(entry.demand.types for entry in plan.inputs.problem.models if entry.model.name == group.model)
    table = provider.provider.table([group.config], types)
    columns = {kind.name: column for column, kind in enumerate(types)}
    rates = np.zeros_like(table.rate_req_per_s)
    for cell in group.cells:
        rates[0, columns[cell.workload]] = planned_load(plan, group) * cell.rate_req_per_s
    found = provider.latency_at(table, rates)

    def under_load(workload: str) -> UnderLoad | None:
        if not provider.limits_of(group.model, workload).as_dict():
            return None
        at = (0, columns[workload])
        times = (float(each[at]) for each in (found.ttft_s, found.tpot_s, found.e2e_s))
        return UnderLoad(float(table.rate_req_per_s[at]), float(rates[at]), *times)

    return replace(group, cells=tuple(replace(cell, under_load=under_load(cell.workload)) for cell in group.cells))
