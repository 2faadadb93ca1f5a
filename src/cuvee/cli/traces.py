"""Commands that look at requests: workload."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from cuvee.cli.options import JsonOption
from cuvee.cli.terminal import print_json, stdout, working
from cuvee.errors import InputError

if TYPE_CHECKING:
    from cuvee.workload import ColumnNames, LengthEdges
    from cuvee.workload.columns import ArrivalUnit


def workload(
    trace: Annotated[Path, typer.Argument(metavar="FILE", help="Azure, BurstGPT, Mooncake or any CSV; plain or gz.")],
    types: Annotated[
        int | None, typer.Option(help="Workload types chosen from the lengths; default: nine fixed cells.")
    ] = None,
    input_edges: Annotated[str | None, typer.Option(help="Prompt lengths that part types, e.g. 512,2048.")] = None,
    output_edges: Annotated[str | None, typer.Option(help="Answer lengths that part types.")] = None,
    input_column: Annotated[str | None, typer.Option(help="Column of prompt tokens, for any other CSV.")] = None,
    output_column: Annotated[str | None, typer.Option(help="Column of answer tokens.")] = None,
    arrival_column: Annotated[str | None, typer.Option(help="Column of arrival times.")] = None,
    arrival_unit: Annotated[str, typer.Option(help="s, ms or iso.")] = "s",
    model_column: Annotated[str | None, typer.Option(help="Column of model names.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a trace: rates over time, length percentiles, and its workload types with their shares."""
    from cuvee.report.workload_console import print_workload, workload_record
    from cuvee.workload import classification_error, classify, load_trace, summarize

    unit = cast("ArrivalUnit", arrival_unit)  # ColumnNames refuses any other
    columns = _columns(input_column, output_column, arrival_column, unit, model_column)
    edges = _edges(input_edges, output_edges)
    with working(f"reading {trace}"):
        requests = load_trace(trace, columns=columns)
        demand = classify(requests, types=types, edges=edges)
        summary, error = summarize(requests), classification_error(requests, demand)
    if as_json:
        print_json(workload_record(requests, summary, demand, error))
    else:
        print_workload(requests, summary, demand, error, stdout())


def _columns(
    input_column: str | None,
    output_column: str | None,
    arrival_column: str | None,
    arrival_unit: "ArrivalUnit",
    model_column: str | None,
) -> "ColumnNames | None":
    from cuvee.workload import ColumnNames

    if input_column is None and output_column is None:
        if arrival_column or model_column:
            raise InputError("column names without the lengths", expected="--input-column and --output-column as well")
        return None
    if input_column is None or output_column is None:
        raise InputError("one column of lengths", expected="both --input-column and --output-column")
    return ColumnNames(input_column, output_column, arrival_column, model_column, arrival_unit)


def _edges(input_edges: str | None, output_edges: str | None) -> "LengthEdges | None":
    from cuvee.workload import LengthEdges

    if input_edges is None and output_edges is None:
        return None
    return LengthEdges(_numbers("--input-edges", input_edges), _numbers("--output-edges", output_edges))


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        raise InputError(
            f"{option} {text!r}", expected="numbers of tokens with commas between, e.g. 512,2048"
        ) from None
