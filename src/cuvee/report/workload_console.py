"""The printed workload: rates over time, lengths, types."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.report.style import DIGITS, fitted, indented, literal, new_table, plain, rate
from cuvee.workload import ClassificationError, Demand, Trace
from cuvee.workload.summary import LengthSummary, TraceSummary

STEPS = "▁▂▃▄▅▆▇█"


def print_workload(
    trace: Trace, summary: TraceSummary, demand: Demand, error: ClassificationError, console: Console
) -> None:
    """Print a trace and the types it was classified into."""
    console.print(Text(literal(_heading(summary)), style="bold"))
    if summary.window_rates_req_per_s:
        console.print(Text(_rates_over_time(summary, console)))
    console.print(_lengths(summary, console))
    console.print(_types(demand, console))
    console.print(
        indented(
            f"within a type, prompts differ from its mean by {error.input_relative_rms:.0%} of the overall mean, "
            f"answers by {error.output_relative_rms:.0%} (RMS)\n"
            "--types K chooses the K types that differ least; total tokens are kept exactly",
            style="dim",
        )
    )
    for note in dict.fromkeys((*trace.notes, *demand.notes)):
        console.print(indented(literal(note), style="yellow"))


def workload_record(trace: Trace, summary: TraceSummary, demand: Demand, error: ClassificationError) -> dict[str, Any]:
    """The same as plain data."""
    types = [
        {"name": kind.name, "input_tokens": kind.input_tokens, "output_tokens": kind.output_tokens, "share": share}
        for kind, share in zip(demand.types, demand.shares, strict=True)
    ]
    return {**asdict(summary), "types": types, "classification_error": asdict(error), "notes": list(trace.notes)}


def _heading(summary: TraceSummary) -> str:
    parts = [f"{summary.name}: {summary.num_requests:,} requests"]
    if summary.duration_s is not None and summary.mean_rate_req_per_s is not None:
        parts.append(f"{summary.duration_s:,.0f} s, {rate(summary.mean_rate_req_per_s)} req/s on average")
    else:
        parts.append("no arrival times")
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in summary.num_skipped.items())
    return ", ".join(parts) + (f"; left out: {skipped}" if skipped else "")


def _rates_over_time(summary: TraceSummary, console: Console) -> str:
    peak = max(summary.window_rates_req_per_s)
    glyphs = DIGITS[1:] if plain(console) else STEPS
    bars = "".join(
        glyphs[min(len(glyphs) - 1, int(each / peak * len(glyphs)))] for each in summary.window_rates_req_per_s
    )
    burst = "" if summary.interarrival_cv is None else f", inter-arrival CV {summary.interarrival_cv:.2f}"
    return f"  rate {bars}  peak {rate(peak)} req/s in windows of {summary.window_s or 0:,.0f} s{burst}"


def _lengths(summary: TraceSummary, console: Console) -> Any:  # noqa: ANN401 a rich table
    table = new_table(console)
    columns = ("mean", "p1", "p5", "p25", "p50", "p75", "p90", "p95", "p99", "max")
    table.add_column("tokens")
    for column in columns:
        table.add_column(column, justify="right")
    rows: dict[str, LengthSummary] = {
        "prompt": summary.input_tokens, "answer": summary.output_tokens, "both": summary.total_tokens,
    }  # fmt: skip
    for label, lengths in rows.items():
        table.add_row(label, *(f"{getattr(lengths, column):,.0f}" for column in columns))
    return fitted(table, console, fold=(), drop=("p1", "p5", "p25", "p75", "p95"))


def _types(demand: Demand, console: Console) -> Any:  # noqa: ANN401 a rich table
    table = new_table(console)
    table.add_column("workload type")
    for column in ("prompt", "answer", "requests", "share", "prompt work", "answer work"):
        table.add_column(column, justify="right")
    prompts = demand.mean_input_tokens * demand.total_requests
    answers = demand.mean_output_tokens * demand.total_requests
    for kind, count, share in zip(demand.types, demand.num_requests, demand.shares, strict=True):
        table.add_row(
            kind.name, f"{kind.input_tokens:,.1f}", f"{kind.output_tokens:,.1f}", f"{count:,.0f}", f"{share:.1%}",
            f"{count * kind.input_tokens / prompts:.1%}", f"{count * kind.output_tokens / answers:.1%}",
        )  # fmt: skip
    return fitted(table, console, fold=("workload type",), drop=("answer work", "prompt work", "requests"))
