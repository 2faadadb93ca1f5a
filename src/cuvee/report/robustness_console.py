"""The printed robustness: what is left with kept shares, re-balanced, and planned anew."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from cuvee.evaluate.robustness import Bursty, Met
from cuvee.evaluate.robustness_means import MeanBursty, MeanMet, mean_bursty, mean_met
from cuvee.report.evaluation_console import percent
from cuvee.report.style import fitted, indented, new_table, rate


def print_robustness(met: Sequence[Met], bursts: Sequence[Bursty], console: Console) -> None:
    """Print every case of every setting, and the means where there are several."""
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
    num_settings = len({each.setting for each in met})
    if num_settings > 1:
        _print_means(mean_met(met), mean_bursty(bursts), num_settings, console)
    console.print(indented("kept: the plan's shares; re-balanced: the best shares on the same fleet", style="dim"))


def _print_means(met: Sequence[MeanMet], bursts: Sequence[MeanBursty], num_settings: int, console: Console) -> None:
    table = new_table(console, title=f"Means over {num_settings} settings: rate over what was foreseen")
    for column in ("case", "way"):
        table.add_column(column)
    for column in ("kept", "re-balanced", "planned anew", "ours leads", "re-balanced ", "planned anew "):
        table.add_column(column, justify="right")
    for each in met:
        shares = (f"{value:.1%}" for value in (each.kept, each.rebalanced, each.replanned))
        leads = ("",) * 3 if each.way == "plan" else tuple(map(percent, each.lead))
        table.add_row(each.case, each.way, *shares, *leads)
    console.print(fitted(table, console, fold=("case", "way")))
    times = new_table(console, title="End-to-end time over that of our plan, geometric means")
    for column in ("way", "burstiness", "p50", "p90"):
        times.add_column(column)
    for one in bursts:
        if one.way != "plan":
            times.add_row(one.way, f"{one.burstiness:g}", f"{one.p50:.2f}", f"{one.p90:.2f}")
    console.print(fitted(times, console, fold=("way",)))


def robustness_record(met: Sequence[Met], bursts: Sequence[Bursty]) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "cases": [vars(each) for each in met],
        "bursts": [vars(each) for each in bursts],
        "means": [vars(each) for each in mean_met(met)],
        "mean_bursts": [vars(each) for each in mean_bursty(bursts)],
    }
