"""The command `periods`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli import options
from cuvee.cli.notes import tell_left_out, tell_unused
from cuvee.cli.planning import NO_PLAN, as_text
from cuvee.cli.saving import require_folder, write_files
from cuvee.cli.terminal import EXIT_INTERRUPTED, stdout, working
from cuvee.errors import InputError

if TYPE_CHECKING:
    from cuvee.plan.periods.result import PeriodPlan
    from cuvee.plan.scenario.scenario import Scenario

DemandOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Demand over time, CSV: t_s or time, requests_per_s or requests; plain or gz."),
]
PeriodsOption = Annotated[int | None, typer.Option("--periods", help="Most fleets a day; default: 4.")]
PeakOption = Annotated[float | None, typer.Option(help="Scale the day's highest step to this [req/s].")]
SaveDirOption = Annotated[
    str | None, typer.Option(metavar="DIR", help="Write periods.json, scenario.yaml and periods.txt there.")
]


@options.asks
def periods(
    question: options.Question,
    *,
    demand: DemandOption = None,
    num_periods: PeriodsOption = None,
    peak: PeakOption = None,
    as_json: options.JsonOption = False,
    save_dir: SaveDirOption = None,
) -> None:
    """Plan by time of day: what to hold always, what to add when, and what that saves.

    The demand series becomes a typical day, the day a few periods with a fleet each, starts included in the cost.
    Without arguments: the embedded question with a day of a production chat service, at most 12 req/s.
    """
    from cuvee.plan.periods.files import periods_to_json
    from cuvee.plan.periods.periods import plan_periods
    from cuvee.plan.question.startup import StartUp
    from cuvee.plan.scenario.resolve import prepare_day
    from cuvee.report.periods_console import print_periods

    _refuse_idle(question)
    day_options = {"time_of_day.periods": num_periods, "time_of_day.peak_req_per_s": peak}
    scenario, name = question.with_settings(day_options).read()
    tell_unused(scenario, day=True)
    scenario = _asked(scenario, demand)
    folder = require_folder(save_dir)
    with working("reading") as progress:
        progress("reading, and generating candidates")
        prepared, day = prepare_day(scenario, name=name)
        if scenario.throughput_table:
            tell_left_out(prepared, progress)
        asked = scenario.time_of_day
        result = plan_periods(
            prepared,
            day,
            num_periods=asked.periods,
            start_up=StartUp(asked.startup_s, asked.start_fee_usd),
            progress=progress,
        )
    if folder is not None:  # first: whoever reads the output may stop reading, as `head` does
        _save(folder, result, scenario)
    if as_json:
        typer.echo(periods_to_json(result), nl=False)
    else:
        print_periods(result, stdout())
    if progress.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not result.has_plan:
        raise typer.Exit(NO_PLAN)


def _refuse_idle(question: options.Question) -> None:
    """Options that would change nothing."""
    if question.rate is not None:
        raise InputError(
            f"--rate {question.rate:g} beside a demand series",
            expected="the rate of the series, or the rate of its highest step",
            remedy=f"scale the series: --peak {question.rate:g}",
        )
    if question.serve not in (None, "mix"):
        raise InputError(
            f"--serve {question.serve!r:.40} for a day",
            expected="all that arrives is served, at any time, for the least money",
            remedy="leave --serve out; most requests within a budget are planned for one rate: cuvee plan",
        )
    if question.objective not in (None, "cost"):
        raise InputError(
            f"--objective {question.objective!r:.40} for a day",
            expected="cost: the demand is given, and the money is what is found",
            remedy="leave --objective out",
        )


def _asked(scenario: "Scenario", demand: str | None) -> "Scenario":
    """The scenario as one of a day, with its series where an option names it."""
    from cuvee.plan.scenario.scenario import of_a_day

    if demand == "":
        raise InputError("demand: an empty text", expected="a name or file", remedy="leave the option out, or fill it")
    changes = {} if demand is None else {"demand": demand}
    return of_a_day(scenario.model_copy(update={"time_of_day": scenario.time_of_day.model_copy(update=changes)}))


def _save(folder: Path, result: "PeriodPlan", scenario: "Scenario") -> None:
    from cuvee.plan.periods.files import periods_to_json
    from cuvee.plan.scenario.scenario import scenario_to_yaml, standing_anywhere
    from cuvee.report.periods_console import print_periods

    contents = {
        "periods.json": periods_to_json(result),
        "scenario.yaml": scenario_to_yaml(standing_anywhere(scenario)),
        "periods.txt": as_text(lambda console: print_periods(result, console)),
    }
    write_files(folder, contents)
