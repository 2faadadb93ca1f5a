"""The printed evaluation: gains, the paper's figures beside ours, and how well makespans are foretold."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.evaluate.paper import PAPER, Claim, claims
from cuvee.evaluate.records import SettingResult
from cuvee.evaluate.summary import LEVEL, WIDE_ERROR, Gain, gains, predictions
from cuvee.report.style import fitted, indented, literal, new_table
from cuvee.units import plural

MODEL_TITLES = {"70b": "Llama-3 70B", "8b": "Llama-3 8B", "both": "80 % Llama-3 8B, 20 % Llama-3 70B"}


def print_evaluation(results: Sequence[SettingResult], num_asked: int, console: Console) -> None:
    """Print what the settings so far say."""
    heading = f"cuvee evaluate paper: {len(results)} of {plural(num_asked, 'setting')}"
    console.print(Text(heading, style="bold"))
    for title, group in parts(results):
        _print_gains(title, gains(group), len(group), console)
    found = list(claims(results))
    if found:
        _print_claims(found, console)
    _print_predictions(results, console)
    for each in results:
        for outcome in each.outcomes:
            if outcome.num_unserved:
                text = f"{each.setting.name}, {outcome.name}: {outcome.num_unserved:,} requests that no replica holds"
                console.print(indented(literal(text), style="yellow"))
    for line in legend():
        console.print(indented(literal(line), style="dim"))


def parts(results: Sequence[SettingResult]) -> list[tuple[str, list[SettingResult]]]:
    """Results of the same models, the paper's mixes apart from traces, each with a title."""
    found: dict[str, list[SettingResult]] = {}
    for each in results:
        kind = "paper's mixes" if each.setting.requests.startswith("trace-") else "real traces"
        found.setdefault(f"{MODEL_TITLES[each.setting.models]}, {kind}", []).append(each)
    return list(found.items())


def percent(value: float) -> str:
    """A share with its sign, or nothing where there is none."""
    return "" if math.isnan(value) else f"{value:+.1%}"


def gain_cells(gain: Gain) -> tuple[str, ...]:
    """A row of the table of gains."""
    return (
        gain.name, percent(gain.planned), percent(gain.played), percent(min(gain.values)), percent(max(gain.values)),
        f"{len(gain.not_won)} of {len(gain.values)}", percent(gain.e2e), str(gain.num_overloaded),
    )  # fmt: skip


GAIN_COLUMNS = ("over", "by plan", "played", "least", "most", "not won", "e2e saved", "overloaded")


def _print_gains(title: str, found: Sequence[Gain], num_settings: int, console: Console) -> None:
    table = new_table(console, title=f"{title}: {plural(num_settings, 'setting')}")
    table.add_column(GAIN_COLUMNS[0])
    for column in GAIN_COLUMNS[1:]:
        table.add_column(column, justify="right")
    for each in found:
        table.add_row(*gain_cells(each))
    console.print(fitted(table, console, fold=("over",), drop=("overloaded", "least")))


def claim_cells(claim: Claim) -> tuple[str, ...]:
    """A row of the table of the paper's figures."""
    difference = "" if claim.difference is None else f"{claim.difference * 100:+.0f} points"
    ours = f"mean {claim.mean:.1%}, up to {claim.most:.1%}"
    return (claim.what, claim.paper, ours, difference, claim.why)


CLAIM_COLUMNS = ("figure", "paper", "ours, as played", "means differ by", "likely reason")


def _print_claims(found: Sequence[Claim], console: Console) -> None:
    table = new_table(console, title=f"Beside the paper: {PAPER}")
    for column in CLAIM_COLUMNS:
        table.add_column(column)
    for each in found:
        table.add_row(*claim_cells(each))
    console.print(fitted(table, console, fold=("figure", "paper", "ours, as played", "likely reason")))


def _print_predictions(results: Sequence[SettingResult], console: Console) -> None:
    table = new_table(console, title="Makespan as played over that of the plan")
    for column in ("fleets", "number", "mean error", "mean size", "p90", f"off by more than {WIDE_ERROR:.0%}"):
        table.add_column(column, justify="left" if column == "fleets" else "right")
    for each in predictions(results):
        cells = (f"{each.mean:+.1%}", f"{each.absolute:.1%}", f"{each.p90:.1%}", f"{each.share_wide:.0%}")
        table.add_row(each.name, str(each.num_fleets), *cells)
    console.print(fitted(table, console, fold=("fleets",)))


def legend() -> tuple[str, ...]:
    """What the columns mean."""
    return (
        "gains: requests per second of our plan over the other's, mean over settings; by plan: of the rates planned "
        "with; played: of a burst in the simulator; least, most: of those played",
        f"not won: settings in which the other serves as much or more as played, within {LEVEL:.1%}",
        "e2e saved: end-to-end time, geometric mean of p10 to p100, at equal rate of arrival, where the other keeps up "
        "with it; overloaded: settings in which it does not",
    )


def evaluation_record(results: Sequence[SettingResult]) -> dict[str, Any]:
    """Every result, and the summaries, as plain data."""
    return {
        "settings": [each.record() for each in results],
        "gains": {title: [_plain(each) for each in gains(group)] for title, group in parts(results)},
        "paper": [{**vars(each), "difference": each.difference} for each in claims(results)],
        "makespans": [vars(each) for each in predictions(results)],
    }


def _plain(gain: Gain) -> dict[str, Any]:
    record = {**vars(gain), "played": gain.played}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in record.items()}
