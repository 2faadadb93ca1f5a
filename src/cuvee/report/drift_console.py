"""The printed comparison of a plan with what a gateway counted: verdict, what to do, figures with their intervals."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cuvee.control.advice import Advice
from cuvee.control.drift import Drift, Figure, Verdict
from cuvee.control.intervals import State
from cuvee.report.style import fitted, indented, literal, new_table
from cuvee.units import plural

SCHEMA_VERSION = 1

MOST_ROWS = 30
"""Figures listed: what drifts, then what is open, then the rest; all are in the JSON."""

ORDER = (State.DRIFTS, State.OPEN, State.FOLLOWS, State.TOLD)
STYLES = {State.DRIFTS: "red", State.OPEN: "yellow", State.FOLLOWS: "green", State.TOLD: "dim"}
VERDICTS = {Verdict.FOLLOWS: "green", Verdict.DRIFTS: "red", Verdict.NOT_ENOUGH: "yellow"}


def print_drift(drift: Drift, advice: Sequence[Advice], console: Console) -> None:
    """Print what was found within the width of `console`."""
    console.print(Text(_heading(drift), style=f"bold {VERDICTS[drift.verdict]}"))
    counted = f"{drift.num_requests:,.0f} requests in {drift.served_s:,.0f} s"
    troubled = [
        f"{number:,.0f} {what}"
        for number, what in ((drift.failed, "ended with an error"), (drift.unserved, "had no replica"))
        if number
    ]
    console.print(indented(", ".join([counted, *troubled])))
    for note in drift.notes:
        console.print(indented(literal(f"note: {note}"), style="yellow"))
    for each in advice:
        console.print(indented(literal(each.why)))
        console.print(indented(literal(f"  {each.command}"), style="bold"))
    console.print()
    console.print(_table(drift, console))
    shown = min(len(drift.figures), MOST_ROWS)
    if shown < len(drift.figures):
        console.print(indented(f"{len(drift.figures) - shown} more in the JSON", style="dim"))
    legend = f"interval: what a figure may be by the counts, all of them at once ({drift.z:.2g} standard errors)"
    console.print(indented(legend, style="dim"))


def drift_record(drift: Drift, advice: Sequence[Advice]) -> dict[str, Any]:
    """The same as plain data; what has no bound is null."""
    figures = [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in each.items()}
        for each in map(asdict, drift.figures)
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": drift.verdict.value,
        "advice": [asdict(each) for each in advice],
        "served_s": drift.served_s,
        "num_requests": drift.num_requests,
        "failed": drift.failed,
        "unserved": drift.unserved,
        "standard_errors": drift.z,
        "notes": list(drift.notes),
        "figures": figures,
    }


def _heading(drift: Drift) -> str:
    number = len(drift.of(State.DRIFTS))
    if drift.verdict is Verdict.DRIFTS:
        return f"drifts: {plural(number, 'figure')} of {len(drift.figures)} not as planned"
    if drift.verdict is Verdict.FOLLOWS:
        return f"follows the plan, in all of {len(drift.figures)} figures that the counts say something of"
    return "not enough data yet: too few requests for an answer; ask again later"


def _table(drift: Drift, console: Console) -> Table:
    table = new_table(console)
    table.add_column("", no_wrap=True)
    table.add_column("of")
    for name in ("planned", "found", "interval", "allowed", "requests"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in sorted(drift.figures, key=lambda figure: ORDER.index(figure.state))[:MOST_ROWS]:
        planned = "" if each.planned is None else _text(each.planned, each)
        interval = f"{_text(each.low, each)} to {_text(each.high, each)}" if each.number else ""
        allowed = f"{_text(each.least, each)} to {_text(each.most, each)}" if each.state is not State.TOLD else ""
        table.add_row(
            each.kind.value, literal(each.name), planned, _text(each.found, each), interval, allowed,
            f"{each.number:,.0f}" if each.number else "", Text(each.state.value, style=STYLES[each.state]),
        )  # fmt: skip
    return fitted(table, console, fold=("of",), drop=("allowed", "requests"))


def _text(value: float, figure: Figure) -> str:
    if not math.isfinite(value):
        return "any"
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{value:.3g}{unit}"
