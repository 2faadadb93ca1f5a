"""The printed import: what each file stated, and what speaks against it."""

from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.profile.imports.importing import Imported, ImportedPoint
from cuvee.profile.imports.load_point import Latency
from cuvee.report.style import fitted, indented, literal, new_table
from cuvee.units import MS_PER_S, plural

SCHEMA_VERSION = 1
TTFT, TPOT = "TTFT ms (p50/p99)", "TPOT ms (p50/p99)"


def print_import(imported: Imported, console: Console) -> None:
    """Print a table of what was read, and below it doubts, remarks and clashes."""
    doubtful = sum(each.is_doubtful for each in imported.points)
    of_them = f", {doubtful} of them doubtful" if doubtful else ""
    heading = f"{plural(len(imported.points), 'load point')} read{of_them}"
    console.print(Text(heading, style="bold"))
    console.print(_table(imported, console))
    for each in imported.points:
        for doubt in each.doubts:
            console.print(indented(literal(f"doubtful: {each.id}: {doubt}"), style="yellow"))
    for clash in imported.clashes:
        places = " and ".join(clash.places)
        console.print(indented(literal(f"clash: {places}: {clash.text}; taken: {clash.taken}"), style="yellow"))
    remarks = [f"{each.id}: {remark}" for each in imported.points for remark in each.remarks]
    for remark in (*remarks, *imported.repeated, *imported.remarks):
        console.print(indented(literal(f"note: {remark}"), style="dim"))


def import_record(imported: Imported, saved: str | None) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "saved": saved,
        "points": [_point(each) for each in imported.points],
        "clashes": [
            {"places": list(clash.places), "text": clash.text, "taken": clash.taken} for clash in imported.clashes
        ],
        "repeated": list(imported.repeated),
        "remarks": list(imported.remarks),
    }


def _point(each: ImportedPoint) -> dict[str, Any]:
    point, served = each.point, each.point.deployment
    return {
        "id": each.id,
        "place": point.place,
        "format": point.file_format,
        "deployment": {name: getattr(served, name) for name in served.__dataclass_fields__},
        "input_tokens": point.input_tokens,
        "output_tokens": point.output_tokens,
        "load": str(point.load),
        "concurrency": point.load.concurrency,
        "request_rate_req_per_s": point.load.request_rate_req_per_s,
        "rate_req_per_s": point.rate_req_per_s,
        "output_tokens_per_s": point.output_tokens_per_s,
        "ttft_s": _latency(point.ttft),
        "tpot_s": _latency(point.tpot),
        "end_to_end_s": _latency(point.end_to_end),
        "completed": point.completed,
        "failed": point.failed,
        "duration_s": point.duration_s,
        "doubtful": each.is_doubtful,
        "doubts": list(each.doubts),
        "remarks": list(each.remarks),
        "source": point.source,
    }


def _latency(latency: Latency | None) -> dict[str, float] | None:
    if latency is None:
        return None
    return {"mean": latency.mean_s, **{f"p{each}": value for each, value in latency.percentiles_s.items()}}


def _table(imported: Imported, console: Console) -> Any:  # noqa: ANN401 a rich table
    table = new_table(console)
    for column in ("", "point", "format", "load"):
        table.add_column(column)
    for column in ("tokens", "req/s", TTFT, TPOT):
        table.add_column(column, justify="right")
    for each in imported.points:
        point = each.point
        rate = point.rate_req_per_s
        table.add_row(
            "?" if each.is_doubtful else "", each.id, point.file_format, str(point.load),
            f"{point.input_tokens:.4g}/{point.output_tokens:.4g}", "-" if rate is None else f"{rate:.3g}",
            _milliseconds(point.ttft), _milliseconds(point.tpot), style="yellow" if each.is_doubtful else None,
        )  # fmt: skip
    return fitted(table, console, fold=("point", "format", "load", TTFT, TPOT))


def _milliseconds(latency: Latency | None) -> str:
    if latency is None:
        return "-"
    mean = f"{latency.mean_s * MS_PER_S:.3g}"
    found = [latency.percentiles_s.get(each) for each in (50, 99)]
    shown = "/".join("-" if value is None else f"{value * MS_PER_S:.3g}" for value in found)
    return f"{mean} ({shown})" if any(found) else mean
