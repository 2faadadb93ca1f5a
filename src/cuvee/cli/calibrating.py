"""Commands that fit the throughput model to measured points: calibrate."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cuvee.cli.options import JsonOption
from cuvee.cli.saving import refuse_overwriting
from cuvee.cli.terminal import print_json, stdout, working

DEFAULT_FILE = "calibration.json"


def calibrate(
    points: Annotated[
        Path, typer.Argument(metavar="POINTS", help="CSV of measured points: gpu, model, engine, isl, osl, req_s, ...")
    ],
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help=f"Write the profile file, e.g. {DEFAULT_FILE}."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    with_doubtful: Annotated[
        bool, typer.Option("--with-doubtful", help="Use rows that the file marks doubtful, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit the model's constants to two or more measured points of each configuration; plan with --throughput FILE."""
    from cuvee.profile.calibration import calibrate as fit_constants
    from cuvee.profile.calibration_files import save_calibration
    from cuvee.profile.measurements import load_measurements
    from cuvee.report.calibration_console import calibration_report, print_calibration

    refuse_overwriting(save, force)
    with working(f"reading {points}") as progress:
        today = datetime.now(UTC).date().isoformat()
        found = fit_constants(load_measurements(points), date=today, with_doubtful=with_doubtful, progress=progress)
    if as_json:
        print_json(calibration_report(found))
    else:
        print_calibration(found, stdout(), saved=str(save) if save else None, default_file=DEFAULT_FILE)
    if save and found.configurations:
        save_calibration(found, save)
    if not found.configurations:
        raise typer.Exit(1)
