"""The command `frontier`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli import options
from cuvee.cli.notes import tell_unused
from cuvee.cli.planning import NO_PLAN, as_text, prepare
from cuvee.cli.saving import require_folder, write_files
from cuvee.cli.terminal import EXIT_INTERRUPTED, stdout, working
from cuvee.errors import InputError

if TYPE_CHECKING:
    from cuvee.plan.frontier.frontier import Frontier, Swept
    from cuvee.plan.scenario.scenario import Scenario

MOST_COUNT = 1000
"""Points of a grid, at most [-]."""

BudgetsOption = Annotated[
    str | None, typer.Option(metavar="LOW:HIGH[:COUNT]", help="Sweep the budget [$/h]; default: up to twice --budget.")
]
RatesOption = Annotated[
    str | None, typer.Option(metavar="LOW:HIGH[:COUNT]", help="Sweep the arrival rate [req/s], at least cost.")
]
PointsOption = Annotated[int | None, typer.Option(help="Most problems to solve, where no COUNT is given; default: 40.")]
ResolutionOption = Annotated[
    float | None, typer.Option(help="Uncertainty between points at which to stop before; default: 0.01.")
]
SaveDirOption = Annotated[
    str | None, typer.Option(metavar="DIR", help="Write frontier.csv, .json, .svg and .txt, and scenario.yaml there.")
]


@options.asks
def frontier(
    question: options.Question,
    *,
    budgets: BudgetsOption = None,
    rates: RatesOption = None,
    points: PointsOption = None,
    resolution: ResolutionOption = None,
    as_json: options.JsonOption = False,
    save_dir: SaveDirOption = None,
) -> None:
    """Show what each budget buys, or what each arrival rate costs, with the knees of the curve.

    Without --budgets and --rates: budgets up to twice the scenario's, or, where its objective is cost, rates from a
    quarter to twice its own. Without COUNT the points lie where the curve is known least.
    """
    from cuvee.plan.frontier.frontier import SweepOptions, Swept
    from cuvee.plan.frontier.sweep import sweep
    from cuvee.report.frontier_console import print_frontier

    scenario, name = question.read()
    tell_unused(scenario)
    swept = _swept(scenario, budgets, rates)
    low, high, count = _parse_range(budgets if swept is Swept.BUDGET else rates, swept.option)
    if count is not None and (points is not None or resolution is not None):
        raise InputError(
            f"--points or --resolution beside a grid of {count}",
            expected="a grid, or points where the curve is known least",
            remedy=f"leave out the COUNT: {swept.option} {low:g}:{high:g}",
        )
    sweep_options = SweepOptions(
        SweepOptions.points if points is None else points,
        SweepOptions.resolution if resolution is None else resolution,
    )
    scenario = _at_the_top(scenario, swept, high)
    folder = require_folder(save_dir)
    with working("reading") as progress:
        prepared = prepare(scenario, name, progress)
        result = sweep(prepared, swept, low=low, high=high, count=count, options=sweep_options, progress=progress)
    if folder is not None:
        _save(folder, result, scenario)
    if as_json:
        from cuvee.plan.frontier.files import frontier_to_json

        typer.echo(frontier_to_json(result), nl=False)
    else:
        print_frontier(result, stdout())
    if progress.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not result.has_plan:
        raise typer.Exit(NO_PLAN)


def _swept(scenario: "Scenario", budgets: str | None, rates: str | None) -> "Swept":
    """What the options ask to sweep; without any, what the scenario's objective leaves open."""
    from cuvee.plan.frontier.frontier import Swept
    from cuvee.plan.question.problem import Objective

    if budgets is not None and rates is not None:
        raise InputError(
            "--budgets and --rates", expected="one of them: the other is what is found", remedy="leave one out"
        )
    if budgets is not None or rates is not None:
        return Swept.RATE if budgets is None else Swept.BUDGET
    return Swept.RATE if scenario.objective is Objective.COST else Swept.BUDGET


def _parse_range(text: str | None, option: str) -> tuple[float | None, float | None, int | None]:
    """LOW:HIGH[:COUNT]; nothing where the option was not given."""
    if text is None:
        return None, None, None
    parts = text.split(":")
    try:
        low, high = (float(part) for part in parts[:2])
        count = int(parts[2]) if len(parts) == 3 else None
        usable = len(parts) <= 3 and 0 < low < high < math.inf and (count is None or 2 <= count <= MOST_COUNT)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(
            f"{option} {text!r}",
            expected=f"LOW:HIGH or LOW:HIGH:COUNT with 0 < LOW < HIGH and 2 to {MOST_COUNT} points",
            remedy=f"e.g. {option} 5:60 or {option} 5:60:12",
        )
    return low, high, count


def _at_the_top(scenario: "Scenario", swept: "Swept", high: float | None) -> "Scenario":
    """The scenario of the largest budget, or of the highest rate: its candidates serve all others."""
    from cuvee.plan.frontier.frontier import Swept
    from cuvee.plan.question.problem import Objective
    from cuvee.plan.scenario.scenario import DEFAULT_BUDGET_USD_PER_HOUR

    if swept is Swept.BUDGET:
        budget = 2 * (scenario.budget_usd_per_hour or DEFAULT_BUDGET_USD_PER_HOUR) if high is None else high
        return scenario.model_copy(update={"objective": Objective.THROUGHPUT, "budget_usd_per_hour": budget})
    changes: dict[str, object] = {"objective": Objective.COST}
    if scenario.rate_req_per_s is None and scenario.trace is None:
        changes["rate_req_per_s"] = high
    return scenario.model_copy(update=changes)


def _save(folder: Path, result: "Frontier", scenario: "Scenario") -> None:
    from cuvee.plan.frontier.files import frontier_to_csv, frontier_to_json
    from cuvee.plan.scenario.scenario import scenario_to_yaml, standing_anywhere
    from cuvee.report.frontier_console import print_frontier
    from cuvee.report.frontier_svg import frontier_to_svg

    contents = {
        "frontier.json": frontier_to_json(result),
        "frontier.csv": frontier_to_csv(result),
        **({"frontier.svg": frontier_to_svg(result)} if result.has_plan else {}),
        "frontier.txt": as_text(lambda console: print_frontier(result, console)),
        "scenario.yaml": scenario_to_yaml(standing_anywhere(scenario)),
    }
    write_files(folder, contents)
