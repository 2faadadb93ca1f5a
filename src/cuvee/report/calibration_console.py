"""The printed calibration: errors before and after, constants, outliers, and points that were set aside."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.profile.calibration import CalibratedConfiguration, CalibratedPoint, Calibration
from cuvee.profile.calibration_files import calibration_record
from cuvee.profile.error_summary import ErrorSummary
from cuvee.report.style import fitted, indented, literal, new_table
from cuvee.units import plural

SHOWN = 3
"""Constants listed for each configuration: those furthest from 1 by their prior's width."""


def print_calibration(calibration: Calibration, console: Console, *, saved: str | None, default_file: str) -> None:
    """Print errors and constants of each configuration.

    Parameters
        saved           The file that is written; None where none is.
        default_file    What it could be called.
    """
    configurations = calibration.configurations
    points = sum(len(each.points) for each in configurations)
    heading = (
        f"constants fitted to {plural(points, 'measured point')} of {plural(len(configurations), 'configuration')}"
    )
    console.print(Text(f"{heading}; error = |predicted / measured - 1|", style="bold"))
    if configurations:
        console.print(_table(calibration, console))
        console.print(indented(_all_line(calibration), style="dim"))
        widths = ", ".join(f"{name} {spread:.2f}" for name, spread in calibration.spreads.items())
        console.print(indented(f"prior widths of ln(constant): {widths}", style="dim"))
        console.print(indented(f"error of a measured rate, and least error band: {calibration.noise:.0%}", style="dim"))
    _print_doubts(calibration, console)
    if configurations:
        name = literal(saved or default_file)
        text = f"plan with it: cuvee plan --throughput {name}" if saved else f"keep it: --save {name}"
        console.print(indented(text))


def calibration_report(calibration: Calibration) -> dict[str, Any]:
    """The profile file as plain data, and beside it the errors that are printed: of all, and of each configuration."""
    overall = calibration.errors
    return {
        **calibration_record(calibration),
        "errors": {
            "overall": None if overall is None else asdict(overall),
            "configurations": [asdict(each.errors) for each in calibration.configurations],
        },
    }


def _table(calibration: Calibration, console: Console) -> Any:  # noqa: ANN401 a rich table
    table = new_table(console)
    table.add_column("configuration")
    for column in ("n", "uncalibrated", "left out", "band"):
        table.add_column(column, justify="right")
    table.add_column("constants")
    for each in calibration.configurations:
        band, errors = each.replica.relative_error, each.errors
        table.add_row(
            literal(_label(each)), f"{len(each.points)}", _median(errors.uncalibrated),
            _median(errors.left_out), "as estimated" if band is None else f"{band:.0%}",
            _constants(each, calibration.spreads),
        )  # fmt: skip
    return fitted(table, console, fold=("configuration", "constants"), drop=("band",))


def _label(each: CalibratedConfiguration) -> str:
    replica = each.replica
    depth = f" PP{replica.pipeline_parallel_size}" if replica.pipeline_parallel_size > 1 else ""
    cache = "" if replica.kv_precision == "bf16" else f" kv {replica.kv_precision}"
    size = f"TP{replica.tensor_parallel_size}{depth}"
    return f"{replica.model} {replica.precision}{cache} {size} {replica.gpu}, {replica.engine} {each.engine_version}"


def _median(errors: ErrorSummary | None) -> str:
    return "-" if errors is None else f"{errors.median:.1%}"


def _constants(each: CalibratedConfiguration, spreads: dict[str, float]) -> str:
    """The constants that the points speak of most."""
    if not each.replica.constants and each.kinds > 1:
        return "as they were: those fitted are more than 100% off on points left out"
    if not each.replica.constants:
        return "as they were: one load alone does not tell which are off"
    telling = list(each.telling_constants(spreads).items())[:SHOWN]
    return ", ".join(f"{name} {value:.2f}" for name, value in telling) or "as they were"


def _all_line(calibration: Calibration) -> str:
    errors = calibration.errors
    if errors is None or errors.left_out is None:
        return "no configuration has two kinds of requests: nothing can be left out, and no error is claimed"
    return (
        f"{errors.left_out.count} points of configurations with two or more kinds of requests: median "
        f"{_median(errors.uncalibrated)} uncalibrated, {_median(errors.left_out)} with each predicted from the others"
    )


def _explained(each: CalibratedConfiguration, point: CalibratedPoint) -> str:
    if each.kinds > 1:
        return f"{point.fitted_req_per_s:.3g} req/s fitted: no constants explain it beside the others"
    return f"{point.uncalibrated_req_per_s:.3g} req/s by the model: more than 3 times off, and no other point backs it"


def _print_doubts(calibration: Calibration, console: Console) -> None:
    for each in calibration.configurations:
        for point in each.points:
            if point.is_outlier:
                text = (
                    f"outlier: {point.id}: {point.rate_req_per_s:.3g} req/s measured at {point.input_tokens:g}/"
                    f"{point.output_tokens:g} tokens, {_explained(each, point)}"
                )
                console.print(indented(literal(text), style="yellow"))
    for note in calibration.notes:
        console.print(indented(literal(f"note: {note}"), style="yellow"))
    for reason, count in Counter(each.reason for each in calibration.set_aside).most_common():
        rows = [each.id for each in calibration.set_aside if each.reason == reason]
        shown = ", ".join(rows[:3]) + (f" and {count - 3} more" if count > 3 else "")
        console.print(indented(literal(f"set aside: {reason}: {shown}"), style="yellow"))
