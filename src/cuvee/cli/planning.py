"""Commands that plan: plan, compare, check, schema."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli import options
from cuvee.cli.notes import tell_left_out, tell_unused
from cuvee.cli.saving import require_folder, write_files
from cuvee.cli.terminal import (
    EXIT_INTERRUPTED,
    Progress,
    print_json,
    stdout,
    working,
)
from cuvee.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from cuvee.plan.explain.baselines import Baseline
    from cuvee.plan.outcome.result import Plan
    from cuvee.plan.program.preparation import PreparedProblem
    from cuvee.plan.scenario.scenario import Scenario

NO_PLAN = 1

SaveDirOption = Annotated[
    str | None, typer.Option(metavar="DIR", help="Write plan.json, scenario.yaml and plan.txt there.")
]
StressOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Evaluate the plan under N draws of throughput errors and stock losses."),
]
PlanArgument = Annotated[
    Path, typer.Argument(metavar="PLAN", help="File of a plan, frontier or day, as --json writes it.")
]


@options.asks
def plan(
    question: options.Question,
    *,
    as_json: options.JsonOption = False,
    save_dir: SaveDirOption = None,
    stress: StressOption = None,
) -> None:
    """Plan what to rent, how to deploy it and which requests go where.

    Without arguments: Llama-3 70B, the mix of trace 2, stock "Avail 1" and 30 $/h, all embedded.
    """
    asked = question.with_settings({"caution.stress_draws": stress}).read()
    tell_unused(asked[0], draws=True)
    folder = require_folder(save_dir)
    with working("reading") as progress:
        prepared = prepare(*asked, progress)
        result = solve(prepared, progress)
        if progress.interrupted and not result.has_plan:
            raise KeyboardInterrupt
        result = _stressed(result, asked[0].caution.stress_draws, progress)
        baselines = _single_types(prepared, progress) if result.has_plan else []
    if folder is not None:  # first: whoever reads the output may stop reading, as `head` does
        _save(folder, result, baselines, asked[0])
    show(result, baselines, as_json=as_json)
    if progress.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not result.has_plan:
        raise typer.Exit(NO_PLAN)


@options.asks
def compare(
    question: options.Question,
    *,
    as_json: options.JsonOption = False,
) -> None:
    """Set the plan beside simpler ways of choosing a fleet, on the same candidates."""
    from cuvee.plan.explain import baselines as ways
    from cuvee.report.compare_console import comparison_record, print_comparison

    asked = question.read()
    tell_unused(asked[0])
    with working("reading") as progress:
        prepared = prepare(*asked, progress)
        result = solve(prepared, progress)
        progress("baselines")
        rows = []
        for baseline in ways.compare(prepared, result):
            progress(f"baselines: {baseline.name}")
            rows.append(baseline)
        progress("printing")
    if as_json:
        print_json(comparison_record(result, rows))
    else:
        print_comparison(result, rows, stdout())
    if not result.has_plan:
        raise typer.Exit(NO_PLAN)


def check(
    plan_file: PlanArgument,
    metrics: Annotated[
        str | None, typer.Option(metavar="URL", help="A gateway's /metrics, or a file of them: is the plan followed?")
    ] = None,
    over: Annotated[float | None, typer.Option(help="With --metrics: count for so long [s].", min=0.1)] = None,
    since: Annotated[str | None, typer.Option(help="With --metrics: count from an earlier file of them.")] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Recompute what a plan file claims, without the program it was solved as: money, stock, memory, rates, load.

    A frontier file is one of many plans: each is checked, and the curve's own claims.

    With --metrics instead whether a gateway follows the plan: exit code 0 it does, 1 it drifts, 3 not enough data.
    """
    from cuvee.plan.any_file import load_any
    from cuvee.plan.check.check import check as check_plan
    from cuvee.plan.frontier.check import check_frontier
    from cuvee.plan.frontier.frontier import Frontier
    from cuvee.plan.periods.check import check_periods
    from cuvee.plan.periods.result import PeriodPlan

    claimed = load_any(plan_file)
    if metrics is not None:
        from cuvee.cli.checking import check_metrics

        if isinstance(claimed, (PeriodPlan, Frontier)):
            raise InputError(
                f"{plan_file}: many plans",
                expected="the plan that a gateway serves",
                remedy="name the file of one plan",
            )
        check_metrics(claimed, plan_file, metrics, over_s=over, since=since, as_json=as_json)
        return
    if over is not None or since is not None:
        raise InputError(
            "--over or --since without --metrics", expected="--metrics as well", remedy="add --metrics URL"
        )
    if isinstance(claimed, PeriodPlan):
        report = check_periods(claimed)
    else:
        report = check_frontier(claimed) if isinstance(claimed, Frontier) else check_plan(claimed)
    if as_json:
        print_json({"ok": report.ok, "passed": report.passed, "violations": report.violations})
    else:
        stdout().print(report.summary())
    if not report.ok:
        raise typer.Exit(NO_PLAN)


def schema(name: Annotated[str, typer.Argument(help="plan, scenario, frontier or periods")]) -> None:
    """Print the JSON Schema of a file format."""
    from cuvee.plan.frontier.files import frontier_schema
    from cuvee.plan.outcome.files import plan_schema
    from cuvee.plan.periods.files import periods_schema
    from cuvee.plan.scenario.scenario import Scenario

    known = {
        "plan": plan_schema,
        "scenario": Scenario.model_json_schema,
        "frontier": frontier_schema,
        "periods": periods_schema,
    }
    if name not in known:
        raise InputError(
            f"schema {name!r}", expected=f"one of {', '.join(known)}", remedy="name one: cuvee schema plan"
        )
    print_json(known[name]())


def prepare(scenario: "Scenario", name: str, progress: Progress) -> "PreparedProblem":
    """The question with its candidates, progress told."""
    from cuvee.plan.scenario.resolve import prepare_scenario

    progress("reading, and generating candidates")
    prepared = prepare_scenario(scenario, name=name)
    if scenario.throughput_table:
        tell_left_out(prepared, progress)
    return prepared


def solve(prepared: "PreparedProblem", progress: Progress) -> "Plan":
    """The plan of a prepared question, progress told."""
    from cuvee.plan.planner import plan_prepared

    progress(f"solving over {len(prepared.candidates):,} candidates (Ctrl-C stops with the best plan so far)")
    return plan_prepared(prepared)


def _stressed(result: "Plan", num_draws: int, progress: Progress) -> "Plan":
    """The plan with its stress report, where draws are asked for; without it once Ctrl-C was pressed."""
    if not (num_draws and result.has_plan):
        return result
    from cuvee.plan.evaluation.stress import stress

    try:
        progress(f"stress: {num_draws:,} draws")
        return replace(result, stress=stress(result, num_draws=num_draws))
    except KeyboardInterrupt:
        return result


def _single_types(prepared: "PreparedProblem", progress: Progress) -> "list[Baseline]":
    """What one GPU type alone reaches; nothing once Ctrl-C was pressed, for half a comparison would mislead."""
    from cuvee.plan.explain import baselines as ways

    found = []
    try:
        for gpu in ways.gpu_types_on_offer(prepared.problem):
            progress(f"for comparison: only {gpu}")
            found.append(ways.single_type(prepared, gpu))
            if not prepared.problem.offers.unlimited:
                found.append(ways.single_type_unlimited(prepared, gpu))
        progress("printing")
    except KeyboardInterrupt:
        return []
    return found


def show(result: "Plan", baselines: "list[Baseline]", *, as_json: bool) -> None:
    """Print a plan beside single-type `baselines`, or write it as data."""
    from cuvee.plan.outcome.files import plan_to_json
    from cuvee.report.plan_console import print_plan

    if as_json:
        typer.echo(plan_to_json(result), nl=False)
    else:
        print_plan(result, baselines, stdout())


def _save(folder: Path, result: "Plan", baselines: "list[Baseline]", scenario: "Scenario") -> None:
    from cuvee.plan.outcome.files import plan_to_json
    from cuvee.plan.scenario.scenario import scenario_to_yaml, standing_anywhere
    from cuvee.report.plan_console import print_plan

    contents = {
        "plan.json": plan_to_json(result),
        "scenario.yaml": scenario_to_yaml(standing_anywhere(scenario)),
        "plan.txt": as_text(lambda console: print_plan(result, baselines, console)),
    }
    write_files(folder, contents)


def as_text(show: "Callable[[Console], None]") -> str:
    """What `show` prints, as wide as everything fits into and without colour."""
    import io

    from rich.console import Console

    from cuvee.report.style import WIDTH

    text = io.StringIO()
    show(Console(file=text, width=WIDTH, highlight=False, markup=False, emoji=False, force_terminal=False))
    return text.getvalue()
