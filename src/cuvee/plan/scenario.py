"""Scenario files: everything a plan depends on, as versioned YAML; the defaults are the embedded scenario.

Nothing named here is resolved until `resolve` is called: models, traces, mixes and offers by name or by
path, a path being relative to the scenario file.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cuvee.catalog import find_gpu, load_gpu_types, load_model, load_offers
from cuvee.catalog.offer import OfferSet
from cuvee.errors import InputError, UnknownNameError
from cuvee.files import read_text
from cuvee.plan.planner import NETWORK_GB_PER_S, PreparedProblem, prepare
from cuvee.plan.problem import Limits, ModelDemand, Objective, PlanProblem, SearchOptions
from cuvee.profile import AnalyticProvider, ChainProvider, ThroughputProvider, find_engine, load_throughput_table
from cuvee.units import GBIT_PER_GB
from cuvee.workload import ColumnNames, Demand, LengthEdges, Trace, classify, load_mix, load_trace, split_by_model

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """A record that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TraceColumns(Strict):
    """Columns of a trace whose format is not known by its header; see `ColumnNames`."""

    input_tokens: str | tuple[str, ...]
    output_tokens: str
    arrival: str | None = None
    model: str | None = None
    arrival_unit: Literal["s", "ms", "iso"] = "s"


class DemandSource(Strict):
    """Where requests come from: a mix or a trace, not both."""

    mix: str | None = None
    trace: str | None = None
    trace_columns: TraceColumns | None = None
    types: Annotated[int, Field(ge=1, le=400)] | None = None
    input_edges: tuple[Positive, ...] = ()
    output_edges: tuple[Positive, ...] = ()
    rate_req_per_s: Positive | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "DemandSource":
        if self.mix and self.trace:
            raise ValueError("a mix and a trace; expected one of them")
        if self.types and (self.input_edges or self.output_edges):
            raise ValueError("types and edges; expected one of them")
        return self


class ScenarioModel(DemandSource):
    """One model: its name or config.json, precision, share of the requests, and its own demand where it has one."""

    model: str
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    precision: Literal["bf16", "fp16", "fp8", "int8", "int4", "mxfp4"] | None = None
    kv_precision: Literal["bf16", "fp16", "fp8", "int8"] = "bf16"
    trace_model: str | None = None


class ScenarioLimits(Strict):
    """Caps beside stock and budget."""

    max_gpus: dict[str, Annotated[int, Field(ge=0)]] = {}
    max_gpus_per_seller: dict[str, Annotated[int, Field(ge=0)]] = {}
    max_usd_per_hour_per_gpu: dict[str, NotNegative] = {}
    max_usd_per_hour_per_seller: dict[str, NotNegative] = {}


class ScenarioSearch(Strict):
    """How far candidate search and solver go; see `SearchOptions`."""

    max_pipeline_stages: int = SearchOptions.max_pipeline_stages
    max_mixed_stages: int = SearchOptions.max_mixed_stages
    relative_gap: float = SearchOptions.relative_gap
    time_limit_s: float | None = SearchOptions.time_limit_s
    seed: int = SearchOptions.seed
    threads: int = SearchOptions.threads


class Scenario(DemandSource):
    """A planning question. Without any field: Llama-3 70B, the mix of trace 2, stock "Avail 1", 30 $/h.

    Attributes
        models                One or several; a plain name stands for `{model: name}`.
        mix, trace, types, input_edges, output_edges, rate_req_per_s    Demand of the models that state none.
        offers                Built-in offer set or file.
        spot                  Whether offers that may be taken back count.
        network_gbit_per_s    Link between machines [Gb/s].
        throughput_table      File of measured throughput; it comes first where it has the cell.
    """

    schema_version: Literal[1] = 1
    models: tuple[ScenarioModel, ...] = (ScenarioModel(model="llama-3-70b"),)
    offers: str = "paper-avail-1"
    spot: bool = False
    budget_usd_per_hour: Positive | None = None
    objective: Objective = Objective.THROUGHPUT
    limits: ScenarioLimits = ScenarioLimits()
    engine: str = "vllm"
    network_gbit_per_s: Positive = NETWORK_GB_PER_S * GBIT_PER_GB
    throughput_table: str | None = None
    search: ScenarioSearch = ScenarioSearch()

    @model_validator(mode="before")
    @classmethod
    def _plain_model_names(cls, values: Any) -> Any:  # noqa: ANN401 whatever the file holds
        if isinstance(values, dict) and isinstance(values.get("models"), (list, tuple)):
            named = [{"model": entry} if isinstance(entry, str) else entry for entry in values["models"]]
            return {**values, "models": named}
        return values

    @model_validator(mode="after")
    def _shares(self) -> "Scenario":
        shares = [entry.share for entry in self.models if entry.share is not None]
        if not self.models:
            raise ValueError("no models; expected at least one")
        if shares and (len(shares) != len(self.models) or abs(sum(shares) - 1) > 1e-6):
            raise ValueError(f"shares {shares}; expected one for each model, summing to 1")
        return self


DEFAULT_MIX = "trace-2"
DEFAULT_BUDGET_USD_PER_HOUR = 30.0


def load_scenario(path: Path | str) -> Scenario:
    """Read a scenario file; the paths in it become relative to where it stands.

    Raises          InputError: not YAML, an unknown field, a value out of range, naming the field.
    """
    path = Path(path)
    text = read_text(path, max_mb=10.0)
    try:
        record = yaml.safe_load(text)
    # PyYAML lets its scalar constructors fail with whatever they hit, e.g. on the date 2026-99-99.
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise InputError(
            f"{where}: {getattr(error, 'problem', None) or error}", expected="a scenario in YAML"
        ) from error
    if not isinstance(record, dict):
        raise InputError(f"{path}: {type(record).__name__}", expected="a mapping of scenario fields", remedy=SEE_SCHEMA)
    return parse_scenario(record, where=str(path))


SEE_SCHEMA = "see every field with: cuvee schema scenario"


def parse_scenario(record: dict[str, Any], *, where: str) -> Scenario:
    """A scenario from plain data.

    Raises          InputError naming the field; `where` says where the data come from.
    """
    try:
        return Scenario.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "scenario"
        arrived = "" if isinstance(first["input"], dict) else f" = {_shown(first['input'])}"
        unknown = first["type"] == "extra_forbidden"
        expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise InputError(
            f"{where}: {'unknown field ' if unknown else ''}{field}{arrived}",
            expected="a field of a scenario" if unknown else expected,
            remedy=SEE_SCHEMA,
        ) from error


def _shown(value: object) -> str:
    """The value as it arrived, or its kind where it may be endless: aliases let a short file hold a huge list."""
    if isinstance(value, (list, tuple, dict, set)) or (isinstance(value, int) and value.bit_length() > 200):
        return f"a {type(value).__name__}"
    return f"{value!r:.80}"


def scenario_to_yaml(scenario: Scenario) -> str:
    """The scenario as YAML, every default written out."""
    record = scenario.model_dump(mode="json", exclude_none=True)
    record["search"]["time_limit_s"] = scenario.search.time_limit_s  # null is "no limit", not the default
    return yaml.safe_dump(record, sort_keys=False)


def prepare_scenario(scenario: Scenario, *, folder: Path | None = None, name: str = "") -> PreparedProblem:
    """Resolve every name of `scenario` and generate the candidates.

    Parameters
        folder    What relative paths are relative to; the working folder where None.
        name      Where the scenario comes from, kept in the plan.
    """
    engine = find_engine(scenario.engine)
    problem = resolve_problem(scenario, folder)
    models = {entry.model.name: entry.model for entry in problem.models}
    gpus = load_gpu_types()
    network_gb_per_s = scenario.network_gbit_per_s / GBIT_PER_GB
    provider: ThroughputProvider = AnalyticProvider(models, gpus, engine, network_gb_per_s)
    if scenario.throughput_table:
        provider = ChainProvider(
            load_throughput_table(_path(scenario.throughput_table, folder), engine=engine.name), provider
        )
    return prepare(
        problem, engine=engine, network_gb_per_s=network_gb_per_s, provider=provider, gpus=gpus, scenario=name
    )


def resolve_problem(scenario: Scenario, folder: Path | None = None) -> PlanProblem:
    """The planning problem that `scenario` names."""
    budget = scenario.budget_usd_per_hour
    if budget is None and scenario.objective is Objective.THROUGHPUT:
        budget = DEFAULT_BUDGET_USD_PER_HOUR
    offers = _offers(scenario, folder)
    return PlanProblem(
        tuple(_model_demands(scenario, folder)),
        offers,
        _limits(scenario.limits, budget, {offer.seller for offer in offers.offers}),
        scenario.objective,
        SearchOptions(**scenario.search.model_dump()),
    )


def _limits(limits: ScenarioLimits, budget: float | None, sellers: set[str]) -> Limits:
    """The caps under canonical GPU names; a name that nobody knows would be a cap that silently does nothing."""
    for name in {*limits.max_gpus_per_seller, *limits.max_usd_per_hour_per_seller} - sellers:
        raise UnknownNameError("seller in limits", name, sellers, remedy="list the offers with: cuvee offers")
    return Limits(
        budget,
        {find_gpu(name).name: cap for name, cap in limits.max_gpus.items()},
        limits.max_gpus_per_seller,
        {find_gpu(name).name: cap for name, cap in limits.max_usd_per_hour_per_gpu.items()},
        limits.max_usd_per_hour_per_seller,
    )


def _model_demands(scenario: Scenario, folder: Path | None) -> Iterator[ModelDemand]:
    """Each model with its demand: its own, or its share of the scenario's."""
    shared = None
    for entry in scenario.models:
        model = load_model(_name_or_path(entry.model, folder))
        if entry.mix or entry.trace:
            demand = _demand(entry, folder, trace_model=entry.trace_model)
        elif entry.trace_model:
            demand = _demand(scenario, folder, trace_model=entry.trace_model)
        else:
            shared = shared or _demand(scenario, folder)
            demand = _scaled(shared, entry.share or 1 / len(scenario.models))
        if entry.rate_req_per_s:
            demand = replace(demand, rate_req_per_s=entry.rate_req_per_s)
        yield ModelDemand(model, demand, entry.precision or model.released_precision, entry.kv_precision)


def _scaled(demand: Demand, share: float) -> Demand:
    rate = None if demand.rate_req_per_s is None else demand.rate_req_per_s * share
    return replace(demand, num_requests=tuple(count * share for count in demand.num_requests), rate_req_per_s=rate)


def _demand(source: DemandSource, folder: Path | None, *, trace_model: str | None = None) -> Demand:
    if source.trace:
        columns = ColumnNames(**source.trace_columns.model_dump()) if source.trace_columns else None
        trace = load_trace(_path(source.trace, folder), columns=columns)
        demand = classify(_of_model(trace, trace_model), types=source.types, edges=_edges(source))
    else:
        demand = load_mix(_name_or_path(source.mix or DEFAULT_MIX, folder))
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


def _offers(scenario: Scenario, folder: Path | None) -> OfferSet:
    offers = load_offers(_name_or_path(scenario.offers, folder))
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


def _path(name: str, folder: Path | None) -> Path:
    return (folder or Path()) / Path(name).expanduser()


def _name_or_path(name: str, folder: Path | None) -> str:
    """A file beside the scenario as its path, anything else as the name it is."""
    candidate = _path(name, folder)
    return str(candidate) if candidate.exists() else name
