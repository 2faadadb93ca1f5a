"""The frontier as a chart of the terminal: filled columns, shaded where more is not ruled out."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from cuvee.plan.frontier.frontier import Frontier, Swept
from cuvee.plan.frontier.knees import Point
from cuvee.report.axis import tick_label, ticks
from cuvee.report.style import BLOCKS, WIDTH, plain

ROWS = 14
"""Lines of the chart above its axis."""

HEADROOM = 1.02
"""Height of the chart over its highest value [-]."""


def marks(console: Console) -> tuple[str, str]:
    """Marks of a knee and of a good buy."""
    return ("K", "+") if plain(console) else ("▲", "◆")


def chart_lines(frontier: Frontier, console: Console) -> Iterator[Text]:
    """The chart, line by line, as wide as the console; of a frontier with a plan."""
    budget = frontier.swept is Swept.BUDGET
    top = max(rate if budget else cost for cost, rate in frontier.steps)
    values = ticks(0.0, top * HEADROOM, 5)
    margin = max(len(tick_label(value)) for value in values) + 2
    width = min(console.width, WIDTH) - margin - len(frontier.swept.unit) - 2
    label_of = {min(ROWS - 1, int(value / (top * HEADROOM) * ROWS)): tick_label(value) for value in values}
    columns = [_levels(frontier, place, ROWS / (top * HEADROOM)) for place in _places(frontier, width)]
    yield Text(f"\n{'req/s' if budget else '$/h':>{margin}}", style="dim")
    for row in reversed(range(ROWS)):
        ruled = "+" if row in label_of else "|"
        if not plain(console):
            ruled = "┤" if row in label_of else "│"
        line = Text(f"{label_of.get(row, ''):>{margin - 1}}{ruled}", style="dim")
        for sure, possible in columns:
            line.append(*_cell(sure - row, possible - row, ascii_only=plain(console)))
        yield line
    yield from _axis(frontier, margin, width, console)


def _span(frontier: Frontier) -> float:
    return max(frontier.high - frontier.low, 1e-9 * frontier.high)


def _places(frontier: Frontier, width: int) -> list[float]:
    """Budget or rate in the middle of each column."""
    return [frontier.low + _span(frontier) * (column + 0.5) / width for column in range(width)]


def _levels(frontier: Frontier, place: float, rows_per_unit: float) -> tuple[float, float]:
    """Heights of what is certain and of what is not ruled out at `place`, in rows."""
    known, proven = frontier.known(place), frontier.proven(place)
    if known is None:
        return 0.0, 0.0
    ends = (known, known if proven is None else proven)
    return min(ends) * rows_per_unit, max(ends) * rows_per_unit


def _cell(sure: float, possible: float, *, ascii_only: bool) -> tuple[str, str]:
    """Glyph and colour of a cell that is filled up to `sure` and shaded up to `possible` [rows]."""
    eighths = round(min(1.0, max(0.0, sure)) * 8)
    if eighths and (eighths >= 4 or not ascii_only):
        return ("#" if ascii_only else BLOCKS[eighths]), "green4"
    if possible >= 0.5:
        return (":" if ascii_only else "░"), "yellow"
    return " ", ""


def _axis(frontier: Frontier, margin: int, width: int, console: Console) -> Iterator[Text]:
    """The axis, the marks of knees and good buys under it, and its ticks."""

    def column(place: float) -> int:
        return min(width - 1, max(0, int((place - frontier.low) / _span(frontier) * width)))

    def place(step: Point) -> float:
        return step[0] if frontier.swept is Swept.BUDGET else step[1]

    line, labels, marked = ["-" if plain(console) else "─"] * width, [" "] * width, [" "] * width
    for tick in ticks(frontier.low, frontier.high, max(2, width // 10)):
        line[column(tick)] = "+" if plain(console) else "┴"
        text = tick_label(tick)
        start = min(width - len(text), max(0, column(tick) - len(text) // 2))
        labels[start : start + len(text)] = text
    knee, good_buy = marks(console)
    for buy in frontier.good_buys:
        marked[column(place(frontier.steps[buy.point + 1]))] = good_buy
    for each in frontier.knees:
        marked[column(place(frontier.steps[each.point]))] = knee
    yield Text(" " * (margin - 1) + ("+" if plain(console) else "└") + "".join(line), style="dim")
    if "".join(marked).strip():
        yield Text(" " * margin + "".join(marked).rstrip(), style="bold")
    yield Text(" " * margin + "".join(labels) + f" {frontier.swept.unit}", style="dim")
