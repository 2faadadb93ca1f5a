"""Records of command-line options, written once for every command that takes them; the planning question as one."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from cuvee.cli.slo import apply_slo
from cuvee.errors import InputError
from cuvee.units import is_number

if TYPE_CHECKING:
    from cuvee.plan.scenario.scenario import Scenario

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@dataclass(frozen=True)
class Question:
    """What to plan: a scenario file, and options that change single fields of it."""

    scenario: Annotated[
        Path | None,
        typer.Argument(metavar="SCENARIO", help="Scenario file (YAML); the embedded one if left out."),
    ] = None
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="NAME[=SHARE]", help="Model name or config.json; repeat for several."),
    ] = None
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME]", help="Weights: bf16, fp8, int4, ...; of several the best; default: as released."
        ),
    ] = None
    trace: Annotated[str | None, typer.Option(metavar="FILE", help="Request trace, CSV or JSONL, plain or gz.")] = None
    mix: Annotated[str | None, typer.Option(help="trace-1, trace-2, trace-3, or a mix file (CSV, YAML).")] = None
    types: Annotated[
        int | None, typer.Option(help="Workload types chosen from the trace's lengths; default: nine fixed cells.")
    ] = None
    rate: Annotated[float | None, typer.Option(help="Arrival rate [req/s].")] = None
    offers: Annotated[str | None, typer.Option(help="Offer set (paper-avail-1..4, market) or a file.")] = None
    spot: Annotated[bool | None, typer.Option("--spot/--no-spot", help="Count spot offers; default: no.")] = None
    budget: Annotated[float | None, typer.Option(help="Most money [$/h].")] = None
    objective: Annotated[
        str | None, typer.Option(help="throughput: most req/s in the budget. cost: least $/h for the rate.")
    ] = None
    engine: Annotated[str | None, typer.Option(help="Serving engine; `cuvee engines` lists them.")] = None
    throughput: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Measured throughput (CSV, JSON), or constants of `cuvee calibrate`; repeatable."
        ),
    ] = None
    melange: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Mélange's input or AIBrix's profiles: GPUs, prices and rates; repeatable."),
    ] = None
    pessimism: Annotated[
        float | None,
        typer.Option(metavar="[SHARE]", help="Lower each rate by this share of its error band; alone: all of it."),
    ] = None
    slo: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TYPE:]LIMITS", help="Latency limits, e.g. ttft=0.5,tpot=50ms,p95 (or e2e, mean); repeatable."
        ),
    ] = None
    headroom: Annotated[
        float | None, typer.Option(help="Share above the demand that a least-cost plan sustains, e.g. 0.2.")
    ] = None
    serve: Annotated[
        str | None,
        typer.Option(help="mix: all types alike. models: each model apart. requests: most requests, each type apart."),
    ] = None
    max_share: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=SHARE",
            help="Most of each model's requests on any one spot, seller, region, zone, gpu; on a machine by its GPUs.",
        ),
    ] = None
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=SHARE", help="Losing any one spot, seller, region, zone, gpu or machine keeps this share."
        ),
    ] = None
    current_fleet: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="What runs now: a plan file, or a list (CSV, YAML).")
    ] = None
    horizon: Annotated[float | None, typer.Option(help="Hours that a plan --from another is to stand; default: 6.")] = (
        None
    )
    robust: Annotated[
        int | None,
        typer.Option(metavar="N", help="Optimise the worst of N draws of throughput errors; 20 are a good start."),
    ] = None
    disaggregate: Annotated[
        bool | None,
        typer.Option(
            "--disaggregate/--no-disaggregate", help="Allow replicas that only prefill or decode, where that wins."
        ),
    ] = None
    overlap: Annotated[
        float | None, typer.Option(help="Most money above the budget while old and new run [$/h]; default: any.")
    ] = None
    gap: Annotated[float | None, typer.Option(help="Proven gap at which to stop; default: 1e-4.")] = None
    time_limit: Annotated[float | None, typer.Option(help="Solver time at which to stop [s]; default: 120.")] = None
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Any scenario field, e.g. limits.max_gpus.A40=4."),
    ] = None

    def with_settings(self, values: Mapping[str, float | None]) -> "Question":
        """The question with fields set by options of one command, where they are given; they are over --set."""
        given = [f"{name}={value}" for name, value in values.items() if value is not None]
        return replace(self, settings=[*(self.settings or []), *given])

    def read(self) -> "tuple[Scenario, str]":
        """The scenario asked for, and what to call it: the file's fields, the options over them, --set over both."""
        from cuvee.plan.scenario.scenario import load_scenario, parse_scenario

        self._refuse_empty()
        record: dict[str, Any] = {}
        if self.scenario is not None:
            record = load_scenario(self.scenario).model_dump(mode="json", exclude_unset=True)
        if self.trace:
            record.pop("mix", None)
        if self.mix:
            for name in ("trace", "trace_columns", "types", "input_edges", "output_edges"):
                record.pop(name, None)
        record.update({name: value for name, value in self._changes().items() if value is not None})
        if self.precision and not self.model:
            record["models"] = [{**entry, "precision": listed(self.precision)} for entry in _models_of(record)]
        apply_slo(record, self.slo or ())
        for setting in [*self._nested_settings(), *(self.settings or [])]:
            _set(record, setting)
        embedded = ", ".join(self.melange) if self.melange else "embedded scenario"
        name = str(self.scenario) if self.scenario is not None else embedded
        scenario = parse_scenario(record, where=str(self.scenario or "command line"))
        self._refuse_idle(scenario)
        return scenario, name

    def _refuse_empty(self) -> None:
        """An empty name is a shell variable that was not set, not a wish for the default."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value == "" or (field.name in ("model", "melange", "slo") and "" in (value or ())):
                raise InputError(
                    f"{field.name}: an empty text", expected="a name or file", remedy="leave the option out, or fill it"
                )

    def _refuse_idle(self, scenario: "Scenario") -> None:
        """Options that would change nothing."""
        own_demand = all(entry.mix or entry.trace for entry in scenario.models)
        if own_demand and (self.trace or self.mix or self.types):
            raise InputError(
                "--trace, --mix or --types for a scenario whose models each have a demand of their own",
                expected="a scenario with a demand of all models",
                remedy="change the models' own demand in the scenario file",
            )

        if "moves" in scenario.model_fields_set and scenario.current_fleet is None:
            raise InputError(
                "--horizon, --overlap or moves without a fleet to move from",
                expected="what runs now",
                remedy="give it with --from plan.json",
            )

    def _changes(self) -> dict[str, Any]:
        return {
            "models": _parse_models(self.model, self.precision),
            "trace": self.trace,
            "mix": self.mix,
            "types": self.types,
            "rate_req_per_s": self.rate,
            "offers": self.offers,
            "spot": self.spot,
            "budget_usd_per_hour": self.budget,
            "objective": self.objective,
            "engine": self.engine,
            "throughput_table": self.throughput,
            "melange": self.melange,
            "current_fleet": self.current_fleet,
            "disaggregate": self.disaggregate,
        }

    def _nested_settings(self) -> list[str]:
        settings = {
            "search.relative_gap": self.gap,
            "search.time_limit_s": self.time_limit,
            "caution.pessimism": self.pessimism,
            "moves.horizon_h": self.horizon,
            "moves.overlap_usd_per_hour": self.overlap,
            "aim.headroom": self.headroom,
            "aim.serve": self.serve,
            "caution.robust_draws": self.robust,
        }
        return [
            *(f"{name}={value}" for name, value in settings.items() if value is not None),
            *(_of_kind("--max-share", "risk.max_share", text) for text in self.max_share or []),
            *(_of_kind("--keep", "risk.keep_after_loss", text) for text in self.keep or []),
        ]


def _of_kind(option: str, field: str, text: str) -> str:
    """`KIND=SHARE` of an option as a setting."""
    kind, separator, share = text.partition("=")
    if not (separator and kind and is_number(share)):
        raise InputError(f"{option} {text!r}", expected="KIND=SHARE", remedy=f"e.g. {option} zone=0.8")
    return f"{field}.{kind}={share}"


def spelled_out(arguments: list[str]) -> list[str]:
    """The arguments with `--pessimism` alone as `--pessimism 1`, which typer cannot read by itself."""
    spelled = []
    for argument, following in pairwise([*arguments, ""]):
        spelled.append(argument)
        if argument == "--pessimism" and not is_number(following):
            spelled.append("1")
    return spelled


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter is a record of options, such as a Question, with its fields as its own."""
    first, *own = inspect.signature(command, eval_str=True).parameters.values()
    record = first.annotation
    hints = get_type_hints(record, include_extras=True)
    asked = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(record)
        if field.name not in {parameter.name for parameter in own}  # a command may mean something of its own by it
    ]

    def run(**values: Any) -> None:  # noqa: ANN401 what typer parsed
        given = record(**{parameter.name: values.pop(parameter.name) for parameter in asked})
        command(given, **values)

    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__signature__ = inspect.Signature([*asked, *own])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*asked, *own)}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _models_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    from cuvee.plan.scenario.scenario import Scenario

    return record.get("models") or [entry.model_dump(exclude_unset=True) for entry in Scenario().models]


def _parse_models(models: list[str] | None, precision: str | None) -> list[dict[str, Any]] | None:
    """`NAME` or `NAME=SHARE` of each --model, as scenario records."""
    if models is None:
        return None
    return [parse_model(text, precision) for text in models]


def parse_model(text: str, precision: str | None = None) -> dict[str, Any]:
    """`NAME` or `NAME=SHARE` as a scenario's record of a model."""
    name, separator, share = text.rpartition("=")
    record: dict[str, Any] = {"model": name if separator else text}
    if separator:
        try:
            record["share"] = float(share) if name else None
        except ValueError:
            record["share"] = None
        if record["share"] is None:
            raise InputError(
                f"--model {text!r}",
                expected="NAME or NAME=SHARE with a share in (0, 1]",
                remedy="e.g. --model llama-3-8b=0.8",
            )
    return {**record, "precision": listed(precision)} if precision else record


def listed(names: str) -> list[str]:
    """Names between commas."""
    return [name.strip() for name in names.split(",")]


def _set(record: dict[str, Any], setting: str) -> None:
    import yaml

    from cuvee.plain_yaml import load_yaml

    path, separator, text = setting.partition("=")
    names = path.split(".")
    if not separator or not all(names):
        raise InputError(f"--set {setting!r}", expected="FIELD=VALUE", remedy="e.g. --set limits.max_gpus.A40=4")
    try:
        value = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: a date or a number that YAML reads and Python does not.
        raise InputError(
            f"--set {setting[:80]!r}", expected="a value in YAML", remedy="e.g. --set limits.max_gpus.A40=4"
        ) from error
    target = record
    for name in names[:-1]:
        target = target.setdefault(name, {})
        if not isinstance(target, dict):
            raise InputError(f"--set {setting!r}: {name} has no fields", expected="a field of a scenario")
    target[names[-1]] = value
