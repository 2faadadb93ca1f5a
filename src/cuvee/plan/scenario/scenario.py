"""Scenario files: everything a plan depends on, as versioned YAML; the defaults are the embedded scenario.

Nothing named here is resolved until `resolve` is called: models, traces, mixes and offers by name or by
path, a path being relative to the scenario file.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from cuvee.errors import InputError
from cuvee.files import read_text
from cuvee.plain_yaml import dump_yaml, load_yaml
from cuvee.plan.question.aim import Aim, Serve
from cuvee.plan.question.caution import MOST_DRAWS, MOST_ROBUST_DRAWS, Caution
from cuvee.plan.question.current_fleet import MoveOptions
from cuvee.plan.question.problem import Objective, SearchOptions
from cuvee.plan.question.risk import Domain, Risk
from cuvee.plan.scenario.beside_melange import WITH_MELANGE, idle_fields, named
from cuvee.plan.scenario.paths import anchored
from cuvee.profile.analytic import NETWORK_GB_PER_S
from cuvee.units import GBIT_PER_GB
from cuvee.workload.day import DEFAULT_PERIODS, DEFAULT_STATISTIC, MOST_PERIODS

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


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
        edges = self.input_edges or self.output_edges
        if self.types and edges:
            raise ValueError("types and edges; expected one of them")
        if self.trace is None and (self.types or edges or self.trace_columns):
            raise ValueError("types, edges or columns without a trace; expected the trace they are for")
        return self


Precision = Literal["bf16", "fp16", "fp8", "int8", "int4", "mxfp4"]
_ONE_PRECISION = {"type": "string", "enum": list(get_args(Precision))}
Precisions = Annotated[
    tuple[Precision, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    PlainSerializer(lambda value: value[0] if len(value) == 1 else list(value)),
    WithJsonSchema({"anyOf": [_ONE_PRECISION, {"type": "array", "items": _ONE_PRECISION, "minItems": 1}]}),
]
"""One name, or a list of names."""


class ScenarioLatency(Strict):
    """Latency limits; a field left out is that of the wider record: of all types, of all models."""

    ttft_s: Positive | None = None
    tpot_s: Positive | None = None
    e2e_s: Positive | None = None
    statistic: Annotated[str, Field(pattern=r"^(mean|p[5-9]\d(\.\d{1,3})?)$")] | None = None


class ScenarioSlo(ScenarioLatency):
    """Latency limits of a model, or of all; `types` has those of single workload types by name."""

    types: dict[str, ScenarioLatency] = {}


class ScenarioModel(DemandSource):
    """One model: its name or config.json, precision, share of the requests, and its own demand where it has one.

    Attributes
        precision       Of the weights, or a list of those a replica may have; as released where left out.
        kv_precision    Of the cache.
        slo             Latency limits of this model.
    """

    model: str
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    precision: Precisions | None = None
    kv_precision: Literal["bf16", "fp16", "fp8", "int8"] = "bf16"
    trace_model: str | None = None
    slo: ScenarioSlo | None = None

    @model_validator(mode="after")
    def _one_demand(self) -> "ScenarioModel":
        if self.share is not None and (self.mix or self.trace or self.trace_model):
            raise ValueError("a share of the scenario's requests and requests of its own; expected one of them")
        return self


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


class ScenarioCaution(Strict):
    """What the plan is to withstand beyond its own estimates; see `Caution`. Without `stress_draws` none is drawn."""

    pessimism: Annotated[float, Field(ge=0, le=1)] = Caution.pessimism
    robust_draws: Annotated[int, Field(ge=0, le=MOST_ROBUST_DRAWS)] = Caution.robust_draws
    stress_draws: Annotated[int, Field(ge=0, le=MOST_DRAWS)] = 0
    seed: int = Caution.seed
    host_loss_chance: float = Caution.host_loss_chance
    spot_loss_chance: float = Caution.spot_loss_chance


class ScenarioAim(Strict):
    """What counts as served; see `Aim`. Models by the names of the catalogue, or of their files."""

    serve: Serve = Serve.MIX
    weights: dict[str, NotNegative] = {}
    floors: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    headroom: NotNegative = Aim.headroom


class ScenarioRisk(Strict):
    """What may hang on one thing, and what its loss must leave; see `Risk`."""

    max_share: dict[Domain, Annotated[float, Field(ge=0, le=1)]] = {}
    keep_after_loss: dict[Domain, Annotated[float, Field(ge=0, le=1)]] = {}
    spot_interruptions_per_hour: NotNegative = Risk.spot_interruptions_per_hour
    recovery_minutes: NotNegative = Risk.recovery_minutes


class ScenarioTimeOfDay(Strict):
    """How the demand follows the day, for `cuvee periods`; other commands plan for one rate.

    Attributes
        demand            Series of demand: a built-in name or a file; the built-in one at 12 req/s where None.
        peak_req_per_s    What the highest step of the typical day is scaled to [req/s]; None: as it is.
        statistic         Over the days of the series, step by step: mean, max, or a percentile p1 to p99.
        startup_s         From renting a replica to its first request [s]; None: estimated from the model's size.
        start_fee_usd     Of each start of a replica [$].
    """

    demand: str | None = None
    peak_req_per_s: Positive | None = None
    periods: Annotated[int, Field(ge=1, le=MOST_PERIODS)] = DEFAULT_PERIODS
    statistic: Annotated[str, Field(pattern=r"^(mean|max|p[1-9]\d?)$")] = DEFAULT_STATISTIC
    startup_s: NotNegative | None = None
    start_fee_usd: NotNegative = 0.0


class ScenarioMoves(Strict):
    """What moves from the current fleet take, and how long the plan after them is to stand; see `MoveOptions`."""

    horizon_h: Positive = MoveOptions.horizon_h
    startup_s: NotNegative | None = MoveOptions.startup_s
    start_fee_usd: NotNegative = MoveOptions.start_fee_usd
    drain_s: NotNegative = MoveOptions.drain_s
    overlap_usd_per_hour: NotNegative | None = MoveOptions.overlap_usd_per_hour


class Scenario(DemandSource):
    """A planning question. Without any field: Llama-3 70B, the mix of trace 2, stock "Avail 1", 30 $/h.

    Attributes
        models                One or several; a plain name stands for `{model: name}`.
        mix, trace, types, input_edges, output_edges, rate_req_per_s    Demand of the models that state none.
        offers                Built-in offer set or file.
        spot                  Whether offers that may be taken back count.
        network_gbit_per_s    Link between machines [Gb/s].
        throughput_table      Files of measured throughput and of fitted constants, at most one each; they come first.
        slo                   Latency limits of every model that states none of its own.
        melange               Files of Mélange or AIBrix: GPUs, prices and rates in place of models, offers and engine.
        time_of_day           How the demand follows the day, for `cuvee periods`.
        current_fleet         What runs now: a plan file, or a list of groups (CSV, YAML).
        disaggregate          Whether replicas may do prefill or decode alone, where that wins.
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
    throughput_table: tuple[str, ...] = ()
    slo: ScenarioSlo | None = None
    melange: tuple[str, ...] = ()
    disaggregate: bool = False
    search: ScenarioSearch = ScenarioSearch()
    caution: ScenarioCaution = ScenarioCaution()
    time_of_day: ScenarioTimeOfDay = ScenarioTimeOfDay()
    risk: ScenarioRisk = ScenarioRisk()
    aim: ScenarioAim = ScenarioAim()
    current_fleet: str | None = None
    moves: ScenarioMoves = ScenarioMoves()

    @model_validator(mode="before")
    @classmethod
    def _plain_model_names(cls, values: Any) -> Any:  # noqa: ANN401 whatever the file holds
        if isinstance(values, dict) and isinstance(values.get("models"), (list, tuple)):
            named = [{"model": entry} if isinstance(entry, str) else entry for entry in values["models"]]
            return {**values, "models": named}
        return values

    @model_validator(mode="before")
    @classmethod
    def _one_file(cls, values: Any) -> Any:  # noqa: ANN401 whatever the file holds
        if not isinstance(values, dict):
            return values
        single = [name for name in ("melange", "throughput_table") if isinstance(values.get(name), str)]
        return {**values, **{name: (values[name],) for name in single}}

    @model_validator(mode="after")
    def _nothing_beside_melange(self) -> "Scenario":
        idle = idle_fields(self) if self.melange else set()
        if idle:
            alone = "expected melange alone, whose files hold the GPUs, prices and rates"
            raise ValueError(f"melange and {named(idle)}; {alone}")
        return self

    @model_validator(mode="after")
    def _stress_of_whole_replicas(self) -> "Scenario":
        if self.disaggregate and self.caution.stress_draws:
            raise ValueError("disaggregate and stress_draws; expected one of them: draws are of whole replicas")
        return self

    @model_validator(mode="after")
    def _shares(self) -> "Scenario":
        shares = [entry.share for entry in self.models if entry.share is not None]
        if not self.models:
            raise ValueError("no models; expected at least one")
        apart = self.aim.serve is not Serve.MIX or self.aim.weights or self.aim.floors
        if self.caution.stress_draws and apart:
            raise ValueError("caution.stress_draws, and requests served apart; expected one of them")
        if any(entry.trace_model and not (entry.trace or self.trace) for entry in self.models):
            raise ValueError("trace_model without a trace; expected the trace that names it")
        if shares and (len(shares) != len(self.models) or abs(sum(shares) - 1) > 1e-6):
            raise ValueError(f"shares {shares}; expected one for each model, summing to 1")
        return self


PROFILED_GAP = 1e-6
"""Proven gap at which a search over profiled GPUs stops where none is asked [-]: its program is small."""

DEFAULT_MIX = "trace-2"
DEFAULT_SERIES = "servegen-small"
DEFAULT_PEAK_REQ_PER_S = 12.0
DEFAULT_BUDGET_USD_PER_HOUR = 30.0


def load_scenario(path: Path | str) -> Scenario:
    """Read a scenario file; the paths in it are joined to where it stands.

    Raises          InputError: not YAML, an unknown field, a value out of range, naming the field.
    """
    path = Path(path)
    text = read_text(path, max_mb=10.0)
    try:
        record = load_yaml(text)
    # PyYAML lets its scalar constructors fail with whatever they hit, e.g. on the date 2026-99-99.
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise InputError(
            f"{where}: {getattr(error, 'problem', None) or error}", expected="a scenario in YAML"
        ) from error
    if not isinstance(record, dict):
        raise InputError(f"{path}: {_shown(record)}", expected="a mapping of scenario fields", remedy=SEE_SCHEMA)
    if "cuvee_version" in record:
        raise InputError(f"{path}: a result that cuvee wrote, no scenario", expected="a scenario", remedy=OF_RESULTS)
    return parse_scenario(anchored(record, path.parent), where=str(path))


SHAPES = {"tuple_type": "a list", "dict_type": "a mapping", "model_type": "a mapping of fields"}
OF_RESULTS = "recompute it: cuvee check FILE; plan from what a plan rents: cuvee plan --from FILE"
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
        if first["type"] in SHAPES:
            expected = SHAPES[first["type"]]
        contradiction, _, wanted = expected.partition("; expected ")
        if wanted:  # of our own validators, which say what arrived as well
            field, arrived, expected = (f"{field}: {contradiction}" if first["loc"] else contradiction), "", wanted
        raise InputError(
            f"{where}: {'unknown field ' if unknown else ''}{field}{arrived}",
            expected="a field of a scenario" if unknown else expected,
            remedy=SEE_SCHEMA,
        ) from error


def _shown(value: object) -> str:
    """The value as it arrived, or its kind where it may be endless: aliases let a short file hold a huge list."""
    if isinstance(value, (list, tuple, dict, set)) or (isinstance(value, int) and value.bit_length() > 200):
        kinds = {dict: "a mapping", set: "a set", int: "an endless number"}
        return kinds.get(type(value), "a list")
    return "nothing" if value is None else f"{value!r:.80}"


def completed(scenario: Scenario) -> Scenario:
    """The scenario with the defaults that depend on other fields: the mix without a trace, the budget to spend."""
    if scenario.melange:
        search = {"relative_gap": PROFILED_GAP, **scenario.search.model_dump(exclude_unset=True)}
        objective = scenario.objective if "objective" in scenario.model_fields_set else Objective.COST
        return scenario.model_copy(update={"objective": objective, "search": ScenarioSearch(**search)})
    own_demand = all(entry.mix or entry.trace for entry in scenario.models)
    changes: dict[str, object] = {}
    if not (scenario.mix or scenario.trace or own_demand):
        changes["mix"] = DEFAULT_MIX
    if scenario.budget_usd_per_hour is None and scenario.objective is Objective.THROUGHPUT:
        changes["budget_usd_per_hour"] = DEFAULT_BUDGET_USD_PER_HOUR
    return scenario.model_copy(update=changes)


def of_a_day(scenario: Scenario) -> Scenario:
    """The scenario as a question of time of day: at least cost, with the embedded series where it names none."""
    changes: dict[str, object] = {"objective": Objective.COST, "time_of_day": scenario.time_of_day}
    if scenario.time_of_day.demand is None:
        peak = scenario.time_of_day.peak_req_per_s or DEFAULT_PEAK_REQ_PER_S
        embedded = {"demand": DEFAULT_SERIES, "peak_req_per_s": peak}
        changes["time_of_day"] = scenario.time_of_day.model_copy(update=embedded)
    return scenario.model_copy(update=changes)


def standing_anywhere(scenario: Scenario) -> Scenario:
    """`scenario` with the whole path of every file, so that it can be saved anywhere and planned from anywhere."""
    return Scenario.model_validate(anchored(scenario.model_dump(exclude_unset=True), Path.cwd()))


def scenario_to_yaml(scenario: Scenario) -> str:
    """The scenario as YAML, every default written out."""
    idle = set(Scenario.model_fields) - WITH_MELANGE if scenario.melange else {"melange"}
    record = completed(scenario).model_dump(mode="json", exclude_none=True, exclude=idle)
    record["search"]["time_limit_s"] = scenario.search.time_limit_s  # null is "no limit", not the default
    if "time_of_day" not in scenario.model_fields_set:
        del record["time_of_day"]  # other commands plan for one rate
    if scenario.current_fleet is None:
        record.pop("moves", None)
    return dump_yaml(record)
