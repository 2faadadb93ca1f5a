"""Commands that hold the models against measurements: score, score-run."""

from pathlib import Path
from typing import Annotated

import typer

from cuvee.cli.options import JsonOption
from cuvee.cli.terminal import print_json, stdout, working


def score(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV of measured points: gpu, model, isl, osl, req_s, ...")
    ],
    with_doubtful: Annotated[
        bool, typer.Option("--with-doubtful", help="Compare rows that the file marks doubtful, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold the throughput model against measured points: errors by group, order of pairs, the worst rows."""
    from cuvee.profile.measurements import load_measurements
    from cuvee.profile.scoring import score as score_points
    from cuvee.report.score_console import print_score, score_record

    with working(f"reading {file}") as progress:
        found = score_points(load_measurements(file), with_doubtful=with_doubtful, progress=progress)
    if as_json:
        print_json(score_record(found))
    else:
        print_score(found, stdout())
    if not found.comparisons:
        raise typer.Exit(1)


def score_run(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Run of a vLLM server: meta.json and requests.jsonl; or several.")
    ],
    fit: Annotated[
        str, typer.Option(help="half: fit few coefficients on every other request, score the rest. none: fit nothing.")
    ] = "none",
    gpu: Annotated[str | None, typer.Option(help="GPU type that served, in place of what the run says.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model name or config.json, likewise.")] = None,
    precision: Annotated[str | None, typer.Option(help="Precision of the weights, likewise.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the simulator against runs of real engines: TTFT, TPOT and end to end, request by request."""
    from cuvee.report.run_console import print_run_scores, run_scores_record
    from cuvee.simulate.compiling import IS_COMPILED
    from cuvee.simulate.engine_runs import read_runs
    from cuvee.simulate.run_score import score_runs
    from cuvee.simulate.simulation import warm_up

    if fit == "half" and not IS_COMPILED:
        typer.echo("note: without the extra cuvee[simulate] each fit takes 30 to 60 minutes", err=True)
    with working(f"reading {folder}") as progress:
        runs = read_runs(
            folder, gpu=gpu, model=model, precision=precision,
            leave_out=lambda error: progress.keep(f"note: left out: {error.arrived}; expected {error.expected}"),
        )  # fmt: skip
        progress("getting the event kernel ready: it is compiled once, and kept" if IS_COMPILED else "simulating")
        warm_up()
        scores = score_runs(runs, fit, progress=progress)
    if as_json:
        print_json(run_scores_record(scores))
    else:
        print_run_scores(scores, stdout())
