"""The latency limits of a plan, recomputed: who serves what, how busy, and who was left out."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from cuvee.catalog.gpu import GpuType
from cuvee.errors import InputError
from cuvee.plan.check_rates import TOLERANCE, is_known, recomputing_provider, same
from cuvee.plan.exclusions import ExcludedPair
from cuvee.plan.latency_reading import planned_load
from cuvee.plan.problem import ModelDemand
from cuvee.plan.result import Cell, Group, Plan
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import Provenance, ThroughputTable
from cuvee.workload.latency_limits import LABELS, LatencyLimits


def check_latency(plan: Plan, gpus: Mapping[str, GpuType]) -> Iterator[str]:
    """A line for each share that goes where a limit does not hold, and for each pair left out that might serve."""
    provider = recomputing_provider(plan, gpus)
    if not isinstance(provider, LimitedProvider):
        return
    served = {(name, row.workload) for row in plan.assignment for name, share in row.shares.items() if share > 0}
    entries = {entry.model.name: entry for entry in plan.inputs.problem.models}
    for group in plan.groups:
        try:
            yield from _check_group(group, plan, provider, entries[group.model], served)
        except InputError as error:  # a shape that is not the model's: the check of rates says so, too
            yield f"{group.id}: {error.arrived}"
    excluded = plan.excluded
    if excluded is None:
        yield "there are limits, and no word on the pairs they leave out"
        return
    if not len(excluded.pairs) <= excluded.num_pairs <= excluded.num_fitting:
        yield f"{len(excluded.pairs)} pairs are listed as left out, of {excluded.num_pairs} of {excluded.num_fitting}"
    for pair in excluded.pairs:
        yield from _check_exclusion(pair, provider, entries.get(pair.model))


def _check_group(
    group: Group, plan: Plan, provider: LimitedProvider, entry: ModelDemand, served: set[tuple[str, str]]
) -> Iterator[str]:
    """Rates of a group against the highest loads within the limits, and the latency it states at the planned load."""
    table = _saturated(group, plan, provider, entry)
    highest = provider.limited(table).table.rate_req_per_s[0]
    loads = np.zeros((1, len(entry.demand.types)))
    columns = {kind.name: column for column, kind in enumerate(entry.demand.types)}
    cells = [cell for cell in group.cells if provider.limits_of(group.model, cell.workload).as_dict()]
    for cell in cells:
        if cell.workload not in columns or cell.under_load is None:
            yield f"{group.id} {cell.workload}: limits, and no latency at the planned load"
            return
        loads[0, columns[cell.workload]] = planned_load(plan, group) * cell.rate_req_per_s
    found = provider.latency_at(table, np.minimum(loads, highest))
    for cell in cells:
        column, stated = columns[cell.workload], cell.under_load
        name = f"{group.id} {cell.workload}"
        if (group.id, cell.workload) in served and cell.rate_req_per_s > highest[column] * (1 + TOLERANCE):
            yield f"{name}: {cell.rate_req_per_s:.6g} req/s, the limits hold up to {highest[column]:.6g}"
        if stated is None or not same(stated.rate_req_per_s, loads[0, column]):
            yield f"{name}: its latency is not that of {loads[0, column]:.6g} req/s"
            continue
        limits = provider.limits_of(group.model, cell.workload)
        yield from _check_latencies(name, cell, limits)
        for label in LABELS if is_known(cell, plan) else ():
            value = float(getattr(found, label)[0, column])
            if not same(value, getattr(stated, label)):
                yield f"{name}: {label} {getattr(stated, label):.6g}, recomputed it is {value:.6g}"


def _check_latencies(name: str, cell: Cell, limits: LatencyLimits) -> Iterator[str]:
    for label, limit_s in limits.as_dict().items():
        if not getattr(cell.under_load, label) <= limit_s * (1 + TOLERANCE):
            yield f"{name}: {label} {getattr(cell.under_load, label):.6g} at the planned load, limit {limit_s:.6g}"


def _saturated(group: Group, plan: Plan, provider: LimitedProvider, entry: ModelDemand) -> ThroughputTable:
    """Saturated rates of a group: recomputed, or as stated where they come from a provider that the plan lacks."""
    table = provider.provider.table([group.config], entry.demand.types)
    columns = {kind.name: column for column, kind in enumerate(entry.demand.types)}
    rate, fits, provenance = table.rate_req_per_s.copy(), table.fits.copy(), table.provenance.copy()
    tpot_s = table.tpot_s.copy()
    for cell in group.cells:
        at = (0, columns.get(cell.workload, 0))
        if cell.under_load is not None and cell.workload in columns and not is_known(cell, plan):
            rate[at], fits[at], tpot_s[at] = cell.under_load.saturated_req_per_s, True, 0.0
            provenance[at] = Provenance.CALIBRATED
    return replace(table, rate_req_per_s=rate, fits=fits, provenance=provenance, tpot_s=tpot_s)


def _check_exclusion(pair: ExcludedPair, provider: LimitedProvider, entry: ModelDemand | None) -> Iterator[str]:
    """The limit a pair left out is said to miss is one that is asked for, and what it takes is above it."""
    kind = None if entry is None else next((kind for kind in entry.demand.types if kind.name == pair.workload), None)
    name = f"left out {ReplicaConfig(pair.model, pair.stages).gpu_label} {pair.workload}"
    if entry is None or kind is None:
        yield f"{name}: not asked for"
        return
    asked = provider.limits_of(pair.model, pair.workload).as_dict().get(pair.limit)
    if asked is None or not same(asked, pair.limit_s):
        yield f"{name}: a limit of {pair.limit_s:.6g} on {pair.limit}, asked for is {asked}"
    elif pair.idle_s is not None and not pair.idle_s > pair.limit_s:
        yield f"{name}: {pair.limit} {pair.idle_s:.6g} when idle is within the limit of {pair.limit_s:.6g}"
