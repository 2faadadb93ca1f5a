"""The printed import of kernel tables: what they are sound for, and what is left out for which reason."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.profile.imports.kernel_rates import KernelRate, KernelRates
from cuvee.report.style import fitted, indented, literal, new_table, rate

SCHEMA_VERSION = 1
MOST_REASONS = 12
"""Reasons why replicas are left out that are listed [-]; --json has them all."""

MOST_GPUS = 4
"""GPU types whose deployments are listed with a reason [-]; of more the types alone."""


def print_kernels(found: KernelRates, console: Console) -> None:
    """Print a row for each kind of replica, and below it those left out."""
    heading = f"{len(found.rates)} rates from kernel tables, read {found.date}: estimates, not measured"
    console.print(Text(heading, style="bold"))
    table = new_table(console)
    for header in ("model", "GPU", "deployment", "precision", "types", "req/s", "band", "points"):
        table.add_column(header, justify="right" if header in ("types", "req/s", "band", "points") else "left")
    alike: dict[tuple[object, ...], list[KernelRate]] = {}
    for each in found.rates:
        alike.setdefault((each.model, each.served), []).append(each)
    for mine in alike.values():
        served, error = mine[0].served, mine[0].error
        rates = [each.estimate.rate_req_per_s for each in mine]
        span = rate(min(rates)) + (f" to {rate(max(rates))}" if len(rates) > 1 else "")
        table.add_row(
            mine[0].model,
            served.gpu,
            f"TP{served.tensor_parallel_size}",
            f"{served.precision}/{served.kv_precision}",
            str(len(mine)),
            span,
            f"+-{error.stated_band:.0%}",
            str(error.num_points),
        )
    console.print(fitted(table, console, fold=("model", "GPU")))
    sources = dict.fromkeys(each.estimate.tables for each in found.rates)
    console.print(indented(literal(f"tables: {', '.join(sources)}"), style="dim"))
    for line in _left_out(found):
        console.print(indented(literal(line), style="yellow"))


def _left_out(found: KernelRates) -> Iterator[str]:
    """A line for each reason, with the replicas it holds for: deployments by GPU type."""
    reasons: dict[str, dict[tuple[str, str], dict[int, None]]] = {}
    for each in found.left_out:
        served = each.served
        kind = (served.gpu, f"{served.precision}/{served.kv_precision}")
        reasons.setdefault(each.reason, {}).setdefault(kind, {})[served.tensor_parallel_size] = None
    for reason, kinds in list(reasons.items())[:MOST_REASONS]:
        told = [f"{gpu} TP{'/'.join(map(str, sizes))} {precision}" for (gpu, precision), sizes in kinds.items()]
        if len(told) > MOST_GPUS:
            told = list(dict.fromkeys(gpu for gpu, _ in kinds))
        yield f"left out: {', '.join(told)}: {reason}"
    if len(reasons) > MOST_REASONS:
        yield f"and for {len(reasons) - MOST_REASONS} more reasons, which --json lists"


def kernels_record(found: KernelRates, saved: str | None) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "saved": saved,
        "date": found.date,
        "rates": [
            {
                "model": each.model,
                **vars(each.served),
                "workload": each.workload.name,
                "input_tokens": each.workload.input_tokens,
                "output_tokens": each.workload.output_tokens,
                "rate_req_per_s": each.estimate.rate_req_per_s,
                "tpot_s": each.estimate.tpot_s,
                "num_sequences": each.estimate.num_sequences,
                "tables": each.estimate.tables,
                "relative_error": each.error.stated_band,
                "median_error": each.error.median,
                "num_points": each.error.num_points,
            }
            for each in found.rates
        ],
        "left_out": [{"model": each.model, **vars(each.served), "reason": each.reason} for each in found.left_out],
    }
