"""The latency limits of a plan, recomputed: who serves what, how busy, and who was left out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from cuvee.catalog.gpu import GpuType
from cuvee.errors import InputError
from cuvee.plan.candidates.exclusions import ExcludedPair, Exclusions
from cuvee.plan.check.rates import TOLERANCE, is_known, recomputing_provider, same
from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.latency_reading import planned_load
from cuvee.plan.outcome.result import Group, Plan
from cuvee.plan.question.problem import ModelDemand
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import NOT_STATED, Provenance, RateSource, ThroughputTable
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
    if plan.excluded is None:
        yield "there are limits, and no word on the pairs they leave out"
    else:
        yield from _check_exclusions(plan, plan.excluded, provider, entries)


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
        if not is_known(cell, plan):
            continue
        figures = {label: float(getattr(found, label)[0, column]) for label in LABELS}
        figures["saturated_req_per_s"] = float(table.rate_req_per_s[0, column])
        for label, value in figures.items():
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
    rate, fits, source = table.rate_req_per_s.copy(), table.fits.copy(), table.source.copy()
    tpot_s = table.tpot_s.copy()
    for cell in group.cells:
        at = (0, columns.get(cell.workload, 0))
        if cell.under_load is not None and cell.workload in columns and not is_known(cell, plan):
            rate[at], fits[at], tpot_s[at] = cell.under_load.saturated_req_per_s, True, 0.0
            source[at] = len(table.sources)
    stated = RateSource(Provenance.CALIBRATED, "as the plan states it", NOT_STATED)
    sources = (*table.sources, stated)
    return replace(table, rate_req_per_s=rate, fits=fits, source=source, sources=sources, tpot_s=tpot_s)


def _check_exclusions(
    plan: Plan, excluded: Exclusions, provider: LimitedProvider, entries: Mapping[str, ModelDemand]
) -> Iterator[str]:
    """Counts, and each listed pair: the limit is asked for, and what an idle replica takes is above it."""
    if not len(excluded.pairs) <= excluded.num_pairs <= excluded.num_fitting:
        yield f"{len(excluded.pairs)} pairs are listed as left out, of {excluded.num_pairs} of {excluded.num_fitting}"
    if sum(kind.num_pairs for kind in excluded.kinds) != excluded.num_pairs:
        yield f"{excluded.num_pairs} pairs are left out, by type it is {sum(kind.num_pairs for kind in excluded.kinds)}"
    if sum(kind.num_fitting for kind in excluded.kinds) > excluded.num_fitting:
        yield f"{excluded.num_fitting} pairs fit, by type it is {sum(kind.num_fitting for kind in excluded.kinds)}"
    yield from _check_kinds(excluded)
    nearest = [kind.nearest for kind in excluded.kinds]
    listed = list(dict.fromkeys([*excluded.pairs, *nearest]))
    asked = [pair for pair in listed if _is_asked(pair, entries)]
    for pair in listed:
        if pair not in asked:
            yield f"{_name(pair)}: not asked for"
    # Lines of throughput tables are kept for the plan's own replicas alone.
    estimated = all(source.startswith(f"{Provenance.ESTIMATED}: ") for source in plan.inputs.throughput_sources)
    idle = _idle_s(asked, provider, entries) if estimated else {}
    for pair in asked:
        limit_s = provider.limits_of(pair.model, pair.workload).as_dict().get(pair.limit)
        if limit_s is None or not same(limit_s, pair.limit_s):
            yield f"{_name(pair)}: a limit of {pair.limit_s:.6g} on {pair.limit}, asked for is {limit_s}"
        elif pair.idle_s is not None and not pair.idle_s > pair.limit_s:
            yield f"{_name(pair)}: {pair.limit} {pair.idle_s:.6g} when idle is within the limit of {pair.limit_s:.6g}"
        elif pair in idle and not same(idle[pair], inf if pair.idle_s is None else pair.idle_s):
            yield f"{_name(pair)}: {pair.limit} {pair.idle_s} when idle, recomputed it is {idle[pair]:.6g}"


def _check_kinds(excluded: Exclusions) -> Iterator[str]:
    """Each type on each GPU type once, with a nearest pair of its own, and with every listed pair counted."""
    listed = Counter((pair.model, _gpu_of(pair), pair.workload) for pair in excluded.pairs)
    if len({(kind.model, kind.gpu, kind.workload) for kind in excluded.kinds}) < len(excluded.kinds):
        yield "pairs left out of one type on one GPU type are counted more than once"
    for kind in excluded.kinds:
        name = f"left out {kind.workload} on {kind.gpu or 'several GPU types'}"
        nearest = kind.nearest
        if (nearest.model, _gpu_of(nearest), nearest.workload) != (kind.model, kind.gpu, kind.workload):
            yield f"{name}: the nearest is {_name(nearest)}"
        least = listed.pop((kind.model, kind.gpu, kind.workload), 0)
        if not max(least, 1) <= kind.num_pairs <= kind.num_fitting:
            yield f"{name}: {kind.num_pairs} of {kind.num_fitting}, {least} are listed"
    yield from (f"left out {workload} on {gpu or 'several GPU types'}: not counted" for _, gpu, workload in listed)


def _gpu_of(pair: ExcludedPair) -> str:
    """The GPU type of a pair; "" for a pipeline over several."""
    names = {stage.gpu for stage in pair.stages}
    return names.pop() if len(names) == 1 else ""


def _is_asked(pair: ExcludedPair, entries: Mapping[str, ModelDemand]) -> bool:
    entry = entries.get(pair.model)
    return entry is not None and pair.workload in {kind.name for kind in entry.demand.types} and pair.limit in LABELS


def _name(pair: ExcludedPair) -> str:
    return f"left out {ReplicaConfig(pair.model, pair.stages).gpu_label} {pair.workload}"


def _idle_s(
    pairs: Sequence[ExcludedPair], provider: LimitedProvider, entries: Mapping[str, ModelDemand]
) -> dict[ExcludedPair, float]:
    """Latency of each pair when idle, recomputed [s]."""
    found = {}
    for model in dict.fromkeys(pair.model for pair in pairs):
        entry, mine = entries[model], [pair for pair in pairs if pair.model == model]
        configs = [_config(pair, entry) for pair in mine]
        rows = {config: row for row, config in enumerate(dict.fromkeys(configs))}
        columns = {kind.name: column for column, kind in enumerate(entry.demand.types)}
        idle = provider.limited(provider.provider.table(list(rows), entry.demand.types)).idle
        for pair, config in zip(mine, configs, strict=True):
            found[pair] = float(getattr(idle, pair.limit)[rows[config], columns[pair.workload]])
    return found


def _config(pair: ExcludedPair, entry: ModelDemand) -> ReplicaConfig:
    return ReplicaConfig(pair.model, pair.stages, pair.precision, entry.kv_precision, pair.spans_machines)
