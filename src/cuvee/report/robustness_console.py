"""The printed robustness: what is left with kept shares, re-balanced, and planned anew."""

from collections.abc import Sequence

from rich.console import Console

from cuvee.evaluate.robustness import Bursty, Met
from cuvee.report.style import fitted, indented, new_table, rate


def print_robustness(met: Sequence[Met], bursts: Sequence[Bursty], console: Console) -> None:
    """Print every case of every setting."""
    table = new_table(console, title="Requests per second when the world is another")
    for column in ("setting", "case", "way"):
        table.add_column(column)
    for column in ("foreseen", "kept", "re-balanced", "planned anew"):
        table.add_column(column, justify="right")
    for each in met:
        rates = (each.foreseen_req_per_s, each.kept_req_per_s, each.rebalanced_req_per_s, each.replanned_req_per_s)
        table.add_row(each.setting, each.case, each.way, *map(rate, rates))
    console.print(fitted(table, console, fold=("setting", "case", "way")))
    times = new_table(console, title="End-to-end time at one rate of arrival [s]")
    for column in ("setting", "way", "burstiness", "p50", "p90"):
        times.add_column(column)
    for one in bursts:
        times.add_row(one.setting, one.way, f"{one.burstiness:g}", f"{one.p50_s:.1f}", f"{one.p90_s:.1f}")
    console.print(fitted(times, console, fold=("setting", "way")))
    console.print(indented("kept: the plan's shares; re-balanced: the best shares on the same fleet", style="dim"))
