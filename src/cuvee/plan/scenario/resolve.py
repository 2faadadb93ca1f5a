"""From a scenario to a planning problem: every name and path in it looked up."""

from collections.abc import Iterator
from dataclasses import replace

from cuvee.catalog import find_gpu, load_gpu_types, load_model, load_offers
from cuvee.catalog.offer import OfferSet
from cuvee.errors import InputError, UnknownNameError
from cuvee.plan.outcome.fleet_files import with_current
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.aim import Aim
from cuvee.plan.question.caution import Caution
from cuvee.plan.question.current_fleet import MoveOptions
from cuvee.plan.question.problem import Limits, ModelDemand, Objective, PlanProblem, SearchOptions
from cuvee.plan.question.risk import Risk
from cuvee.plan.scenario.grid_files import GridCase, read_grid_files
from cuvee.plan.scenario.latency import latency_objective, require_known_types
from cuvee.plan.scenario.melange import (
    GridDemand,
    demand_in_cells,
    demand_of_shares,
    edges_between,
    prepare_grid,
)
from cuvee.plan.scenario.scenario import (
    DEFAULT_MIX,
    DEFAULT_SERIES,
    DemandSource,
    Scenario,
    ScenarioAim,
    ScenarioLimits,
    completed,
)
from cuvee.profile import AnalyticProvider, find_engine
from cuvee.profile.providers import known_first
from cuvee.units import GBIT_PER_GB
from cuvee.workload import (
    ColumnNames,
    Demand,
    LengthEdges,
    Trace,
    TypicalDay,
    classify,
    fold_day,
    load_mix,
    load_series,
    load_trace,
    split_by_model,
)


def prepare_scenario(scenario: Scenario, *, name: str = "") -> PreparedProblem:
    """Resolve every name of `scenario` and generate the candidates.

    Parameters
        name      Where the scenario comes from, kept in the plan.
    """
    if scenario.melange:
        return _prepare_melange(scenario, name)
    engine = find_engine(scenario.engine)
    problem = resolve_problem(scenario)
    models = {entry.model.name: entry.model for entry in problem.models}
    gpus = load_gpu_types()
    network_gb_per_s = scenario.network_gbit_per_s / GBIT_PER_GB
    analytic = AnalyticProvider(models, gpus, engine, network_gb_per_s)
    provider = known_first(scenario.throughput_table, analytic)
    return prepare(
        problem, engine=engine, network_gb_per_s=network_gb_per_s, provider=provider, gpus=gpus, scenario=name
    )


def _prepare_melange(scenario: Scenario, name: str) -> PreparedProblem:
    """Files of Mélange or AIBrix; limits speak of GPUs as the files call them."""
    scenario = completed(scenario)
    case = read_grid_files(scenario.melange)
    limits = Limits(scenario.budget_usd_per_hour, **scenario.limits.model_dump())
    return prepare_grid(
        case,
        _grid_demand(scenario, case),
        limits=limits,
        objective=scenario.objective,
        search=SearchOptions(**scenario.search.model_dump()),
        caution=Caution(**scenario.caution.model_dump(exclude={"stress_draws"})),
        headroom=scenario.aim.headroom,
        scenario=name,
    )


def _grid_demand(scenario: Scenario, case: GridCase) -> GridDemand:
    """The demand of the files, or the scenario's in their cells."""
    given = scenario.mix or scenario.trace
    if case.shares is None and not given:
        raise InputError(
            f"{case.name}: profiles without a demand",
            expected="a demand: a mix, a trace, or a file with workload_distribution and total_request_rate",
            remedy="add e.g. --trace requests.csv, or --mix trace-2 --rate 10",
        )
    if case.shares is not None and given:
        raise InputError(
            f"{case.name}: a workload_distribution, and {given!r} beside it",
            expected="one demand",
            remedy="leave one out",
        )
    if case.shares is not None:
        asked = demand_of_shares(case)
        rate = scenario.rate_req_per_s
        return asked if rate is None else replace(asked, demand=replace(asked.demand, rate_req_per_s=rate))
    edges = edges_between(case.ticks) if case.ticks else None
    return demand_in_cells(case, _demand(scenario, edges=edges))


def prepare_day(scenario: Scenario, *, name: str = "") -> tuple[PreparedProblem, TypicalDay]:
    """The question of `scenario` by time of day: its problem with the candidates, and its typical day.

    Notes           Of the scenario's demand only the mix counts, so it needs no arrival rate; models with a demand of
                    their own keep their rates in proportion.
    """
    asked = scenario.time_of_day
    series = load_series(asked.demand or DEFAULT_SERIES)
    day = fold_day(series, statistic=asked.statistic, peak_req_per_s=asked.peak_req_per_s)
    own_demand = any(entry.mix or entry.trace or entry.trace_model for entry in scenario.models)
    changes: dict[str, object] = {"objective": Objective.COST}
    if not own_demand and scenario.rate_req_per_s is None:
        changes["rate_req_per_s"] = 1.0
    return prepare_scenario(scenario.model_copy(update=changes), name=name), day


def resolve_problem(scenario: Scenario) -> PlanProblem:
    """The planning problem that `scenario` names; relative paths are relative to the working folder."""
    scenario = completed(scenario)
    offers = _offers(scenario)
    models = tuple(_model_demands(scenario))
    require_known_types(scenario, models)
    problem = PlanProblem(
        models,
        offers,
        _limits(scenario.limits, scenario.budget_usd_per_hour),
        scenario.objective,
        SearchOptions(**scenario.search.model_dump()),
        Caution(**scenario.caution.model_dump(exclude={"stress_draws"})),
        Risk(**scenario.risk.model_dump(mode="json")),
        _aim(scenario.aim),
        disaggregate=scenario.disaggregate,
    )
    if scenario.current_fleet is None:
        return problem
    return with_current(problem, scenario.current_fleet, MoveOptions(**scenario.moves.model_dump()))


def _aim(aim: ScenarioAim) -> Aim:
    """The aim, under the models' own names."""
    return Aim(
        aim.serve,
        {load_model(name).name: weight for name, weight in aim.weights.items()},
        {load_model(name).name: floor for name, floor in aim.floors.items()},
        aim.headroom,
    )


def _limits(limits: ScenarioLimits, budget: float | None) -> Limits:
    """The caps, under canonical GPU names."""
    return Limits(
        budget,
        {find_gpu(name).name: cap for name, cap in limits.max_gpus.items()},
        limits.max_gpus_per_seller,
        {find_gpu(name).name: cap for name, cap in limits.max_usd_per_hour_per_gpu.items()},
        limits.max_usd_per_hour_per_seller,
    )


def _model_demands(scenario: Scenario) -> Iterator[ModelDemand]:
    """Each model with its demand: its own, or its share of the scenario's."""
    shared = None
    for entry in scenario.models:
        model = load_model(entry.model)
        if entry.mix or entry.trace:
            demand = _demand(entry, trace_model=entry.trace_model)
        elif entry.trace_model:
            demand = _demand(scenario, trace_model=entry.trace_model)
        else:
            shared = shared or _demand(scenario)
            demand = _scaled(shared, entry.share or 1 / len(scenario.models))
        if entry.rate_req_per_s:
            demand = replace(demand, rate_req_per_s=entry.rate_req_per_s)
        precision = entry.precision or model.released_precision
        limits = latency_objective(scenario, entry, demand)
        yield ModelDemand(model, demand, precision, entry.kv_precision, limits)


def _scaled(demand: Demand, share: float) -> Demand:
    rate = None if demand.rate_req_per_s is None else demand.rate_req_per_s * share
    return replace(demand, num_requests=tuple(count * share for count in demand.num_requests), rate_req_per_s=rate)


def _demand(source: DemandSource, *, trace_model: str | None = None, edges: LengthEdges | None = None) -> Demand:
    """The demand of `source`; a trace that says nothing of types is cut at `edges`."""
    if source.trace:
        columns = ColumnNames(**source.trace_columns.model_dump()) if source.trace_columns else None
        trace = load_trace(source.trace, columns=columns)
        edges = _edges(source) or (None if source.types else edges)
        demand = classify(_of_model(trace, trace_model), types=source.types, edges=edges)
    else:
        demand = load_mix(source.mix or DEFAULT_MIX)
    return replace(demand, rate_req_per_s=source.rate_req_per_s) if source.rate_req_per_s else demand


def _of_model(trace: Trace, name: str | None) -> Trace:
    if name is None:
        return trace
    parts = split_by_model(trace)
    if name not in parts:
        raise UnknownNameError("model in the trace", name, parts)
    return parts[name]


def _edges(source: DemandSource) -> LengthEdges | None:
    if not source.input_edges and not source.output_edges:
        return None
    return LengthEdges(source.input_edges, source.output_edges)


def _offers(scenario: Scenario) -> OfferSet:
    offers = load_offers(scenario.offers)
    kept = tuple(offer for offer in offers.offers if scenario.spot or not offer.spot)
    if not kept:
        raise InputError(
            f"offers {scenario.offers!r}: all {len(offers.offers)} are spot",
            expected="at least one on-demand offer",
            remedy="allow spot offers with --spot",
        )
    left_out = len(offers.offers) - len(kept)
    note = (f"{left_out} spot offers left out; --spot counts them",) if left_out else ()
    return replace(offers, offers=kept, notes=(*offers.notes, *note))
