"""The command `evaluate`: our plans beside other ways of choosing a fleet, in many settings, planned and played."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.options import JsonOption
from cuvee.cli.saving import refuse_overwriting
from cuvee.cli.terminal import EXIT_INTERRUPTED, print_json, stdout, working
from cuvee.errors import InputError

if TYPE_CHECKING:
    from cuvee.evaluate.grid import EvaluationOptions, Setting
    from cuvee.evaluate.records import SettingResult
    from cuvee.evaluate.robustness import Bursty, Met

NOT_FOR = {"paper": (), "robustness": ("--html",), "beyond": ("--cells", "--trace")}
"""What can be evaluated, and the options that it does not take."""

KINDS = tuple(NOT_FOR)

CellsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Only settings such as '70b/trace-1/*'; repeatable. Default: all; of robustness the first; not of beyond.",
    ),
]
TraceOption = Annotated[
    list[str] | None,
    typer.Option("--trace", metavar="FILE", help="The same with the requests of a trace, too; not of beyond."),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Keep each result here, and go on from there."),
]
PageOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Of paper and beyond: write all of it as one page with charts, too."),
]


def evaluate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="paper; robustness: wrong rates, lost stock, another mix, bursts; beyond: this year's market, latency "
            "limits, fourteen days.",
        ),
    ],
    cells: CellsOption = None,
    traces: TraceOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="One stock, one budget, short simulations.")] = False,
    out: OutOption = None,
    html: PageOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put our plans beside other ways of choosing a fleet: all planned, and played in the simulator.

    With --out an interrupted run goes on where it stopped.
    """
    from cuvee.evaluate.evaluation import evaluate as run
    from cuvee.evaluate.evaluation import requests_by_name
    from cuvee.evaluate.robustness import robustness
    from cuvee.simulate.simulation import warm_up

    _check(what, {"--cells": cells, "--trace": traces, "--out": out, "--html": html})
    refuse_overwriting(html, force)
    if what == "beyond":
        _beyond(quick=quick, out=out, html=html, as_json=as_json)
        return
    with working("reading") as progress:
        requests = requests_by_name(traces or ())
        names = [name for name, each in requests.items() if each.trace is not None]
        settings, options = _asked(what, names, cells or (), quick=quick)
        progress("getting the event kernel ready")
        warm_up()
        if what == "robustness":
            rest = robustness(settings, requests, options, out=out, progress=progress)
        else:
            results = run(
                settings, requests, options, out=out, progress=progress, keep=progress.keep,
                interrupted=lambda: progress.interrupted,
            )  # fmt: skip
    if what == "robustness":
        _show_robustness(*rest, as_json=as_json)
        return
    _show_paper(results, len(settings), html=html, as_json=as_json)
    if progress.interrupted:
        if out is not None:
            _tell_how_to_go_on(f"{len(results)} of {len(settings)} settings are kept in {out}", overwrites=bool(html))
        raise typer.Exit(EXIT_INTERRUPTED)


def _show_paper(results: "Sequence[SettingResult]", num_asked: int, *, html: Path | None, as_json: bool) -> None:
    from cuvee.report.evaluation_console import evaluation_record, print_evaluation

    if html is not None and results:
        _write_page(html, results, num_asked)
    if as_json:
        print_json(evaluation_record(results))
    else:
        print_evaluation(results, num_asked, stdout())


def _write_page(html: Path, results: "Sequence[SettingResult]", settings: int) -> None:
    from cuvee.files import write_atomic
    from cuvee.report.evaluation_page import evaluation_page

    write_atomic(html, evaluation_page(results, settings))


def _tell_how_to_go_on(kept: str, *, overwrites: bool) -> None:
    typer.echo(f"{kept}; repeat the command{' with --force' if overwrites else ''}", err=True)


def _check(what: str, given: dict[str, object]) -> None:
    """Refuse what there is not, and options that it does not take."""
    if what not in KINDS:
        raise InputError(f"evaluate {what!r}", expected=f"one of {', '.join(KINDS)}")
    wrong = [option for option, is_given in given.items() if is_given and option in NOT_FOR[what]]
    if wrong:
        taken = [option for option in (*given, "--quick", "--json") if option not in NOT_FOR[what]]
        raise InputError(
            f"{' and '.join(wrong)} for {what}", expected=f"of {what} only {', '.join(taken)}", remedy="leave them out"
        )


def _beyond(*, quick: bool, out: Path | None, html: Path | None, as_json: bool) -> None:
    from cuvee.evaluate.beyond import beyond
    from cuvee.files import write_atomic
    from cuvee.report.beyond_console import beyond_record, print_beyond
    from cuvee.report.beyond_page import beyond_page
    from cuvee.simulate.simulation import warm_up

    with working("getting the event kernel ready") as progress:
        warm_up()
        found = beyond(quick=quick, out=out, progress=progress, interrupted=lambda: progress.interrupted)
    if html is not None:
        write_atomic(html, beyond_page(found))
    if as_json:
        print_json(beyond_record(found))
    else:
        print_beyond(found, stdout())
    if progress.interrupted:
        if out is not None:
            _tell_how_to_go_on(f"what is done is kept in {out}", overwrites=bool(html))
        raise typer.Exit(EXIT_INTERRUPTED)


def _show_robustness(met: "Sequence[Met]", bursts: "Sequence[Bursty]", *, as_json: bool) -> None:
    from cuvee.report.robustness_console import print_robustness, robustness_record

    if as_json:
        print_json(robustness_record(met, bursts))
    else:
        print_robustness(met, bursts, stdout())


def _asked(
    what: str, traces: Sequence[str], cells: Sequence[str], *, quick: bool
) -> "tuple[tuple[Setting, ...], EvaluationOptions]":
    from cuvee.evaluate import grid

    settings = grid.chosen(grid.quick_grid(traces) if quick else grid.paper_grid(traces), cells)
    settings = grid.for_robustness(settings, cells) if what == "robustness" else settings
    grid.require_played(settings, traces)
    return settings, grid.QUICK if quick else grid.EvaluationOptions()
