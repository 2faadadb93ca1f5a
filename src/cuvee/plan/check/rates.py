"""The rates of a plan, recomputed: from the analytic model and from the measured lines that the plan holds."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import inf, isclose, prod

from cuvee.catalog.gpu import GpuType
from cuvee.errors import InputError
from cuvee.plan.candidates.exclusions import limited_provider
from cuvee.plan.candidates.placement import host_gpus
from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.result import Group, Plan
from cuvee.plan.question.problem import ModelDemand
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.calibrated import CalibratedProvider
from cuvee.profile.measured import TableProvider
from cuvee.profile.pessimism import lowered
from cuvee.profile.phases import AnalyticPhases, Phase, PhaseRates, links_of
from cuvee.profile.providers import ChainProvider
from cuvee.profile.table import Provenance, RateSource, ThroughputProvider

TOLERANCE = 1e-6
"""Relative slack of every comparison [-]: the solver's own feasibility tolerance."""


def same(first: float, second: float) -> bool:
    """Whether two figures are equal but for rounding."""
    return isclose(first, second, rel_tol=TOLERANCE, abs_tol=1e-9)


def check_rates(plan: Plan, gpus: Mapping[str, GpuType]) -> Iterator[str]:
    """A line for each rate that is not what its source says; of each kind of rate a source is named."""
    kinds = {cell.provenance for group in plan.groups for cell in group.cells}
    for kind in sorted(kinds):
        if not any(source.startswith(f"{kind}: ") for source in plan.inputs.throughput_sources):
            yield f"{kind} rates, and no source of the inputs says {kind.value!r}"
    provider = recomputing_provider(plan, gpus)
    entries = {entry.model.name: entry for entry in plan.inputs.problem.models}
    for group in plan.groups:
        asked = {kind.name for kind in entries[group.model].demand.types}
        for cell in group.cells:
            if not 0 < cell.rate_req_per_s < inf:
                yield f"{group.id} {cell.workload}: a rate of {cell.rate_req_per_s} req/s"
            if cell.workload not in asked:
                yield f"{group.id} has a rate for {cell.workload}, which is not asked for"
        repeated = [name for name, count in Counter(cell.workload for cell in group.cells).items() if count > 1]
        yield from (f"{group.id} has several rates for {name}" for name in repeated)
        known = [cell for cell in group.cells if is_known(cell, plan)]
        if known:
            source = provider if group.phase is Phase.BOTH else _one_phase(plan, group, gpus)
            yield from _check_cells(group, known, entries[group.model], source, plan)


def recomputing_provider(plan: Plan, gpus: Mapping[str, GpuType]) -> ThroughputProvider:
    """Measured and calibrated where the plan holds them, analytic elsewhere, lowered and limited as the plan says."""
    inputs = plan.inputs
    models = {entry.model.name: entry.model for entry in inputs.problem.models}
    measured = TableProvider(inputs.measured_rates, inputs.length_tolerance)
    provider: ThroughputProvider = measured
    mixes = inputs.problem.mixes
    analytic = AnalyticProvider(models, gpus, inputs.engine, inputs.network_gb_per_s, mixes)
    if all(model.shape_known for model in models.values()):
        fitted = CalibratedProvider(inputs.calibrated, models, gpus, inputs.engine, inputs.network_gb_per_s, mixes)
        provider = ChainProvider(fitted, analytic) if inputs.calibrated else analytic
        provider = ChainProvider(measured, provider) if inputs.measured_rates else provider
    saturated = lowered(provider, inputs.problem.caution.pessimism, inputs.engine)
    return limited_provider(saturated, analytic, inputs.problem.models)


def _one_phase(plan: Plan, group: Group, gpus: Mapping[str, GpuType]) -> ThroughputProvider:
    """The analytic model of what `group` does, lowered as the plan says."""
    inputs = plan.inputs
    models = {entry.model.name: entry.model for entry in inputs.problem.models}
    phases = AnalyticPhases(AnalyticProvider(models, gpus, inputs.engine, inputs.network_gb_per_s))
    provider = PhaseRates(phases, group.phase, (links_of_group(plan, group),))
    return lowered(provider, inputs.problem.caution.pessimism, inputs.engine)


def links_of_group(plan: Plan, group: Group) -> float:
    """Links between machines that a replica of `group` has for its cache [-]."""
    offers = plan.inputs.problem.offers.offers
    machine_gpus = {offers[part.offer].gpu: host_gpus(offers[part.offer]) for part in group.rented}
    if set(group.config.gpu_counts) - set(machine_gpus):
        return 0.0  # what it rents is not what it stands on, which "replicas" names
    return links_of(group.config, machine_gpus)


def _told(source: RateSource | None) -> str:
    return "of no source" if source is None else f"{source} ({source.date})"


def is_known(cell: Cell, plan: Plan) -> bool:
    """Whether the plan holds what the rate rests on: the model always, measured lines or constants of a file or not."""
    return cell.provenance is Provenance.ESTIMATED or bool(plan.inputs.measured_rates or plan.inputs.calibrated)


def _availability(group: Group, plan: Plan) -> float:
    """Share of the time all GPUs of a replica are there [-]."""
    problem = plan.inputs.problem
    return prod(problem.risk.spot_availability for part in group.rented if problem.offers.offers[part.offer].spot)


def _check_cells(
    group: Group, cells: list[Cell], entry: ModelDemand, provider: ThroughputProvider, plan: Plan
) -> Iterator[str]:
    """Cells of one group against `provider`, which is deterministic."""
    try:
        table = provider.table([group.config], entry.demand.types)
    except InputError as error:  # a shape that is not the model's, or a GPU that computes nothing in 16 bit
        yield f"{group.id}: {error.arrived}"
        return
    availability = _availability(group, plan)
    columns = {kind.name: column for column, kind in enumerate(entry.demand.types)}
    for cell in cells:
        column = columns.get(cell.workload)
        if column is None:  # `check_rates` names it
            continue
        kind = Provenance(table.provenance[0, column])
        if kind is not cell.provenance:
            yield f"{group.id} {cell.workload}: {cell.provenance}, and its source is {kind}"
            continue
        sources = (plan.inputs.source_of(cell), table.source_of(0, column))
        if sources[0] not in (None, sources[1]):
            yield f"{group.id} {cell.workload}: {_told(sources[0])}, recomputed it is {_told(sources[1])}"
        for label, stated in (
            ("rate_req_per_s", cell.rate_req_per_s),
            ("ttft_s", cell.ttft_s or 0.0),
            ("tpot_s", cell.tpot_s or 0.0),
            ("relative_error", inf if cell.relative_error is None else cell.relative_error),
        ):
            value = float(getattr(table, label)[0, column])
            if label == "rate_req_per_s":
                value *= availability
            if not same(value, stated):
                yield f"{group.id} {cell.workload}: {label} {stated:.6g}, recomputed it is {value:.6g}"
