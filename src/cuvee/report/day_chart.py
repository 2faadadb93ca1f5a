"""A day as a chart of the terminal: filled columns of demand, shaded up to what the fleets of the day sustain."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from cuvee.plan.periods.result import PeriodPlan
from cuvee.report.axis import tick_label, ticks
from cuvee.report.style import BLOCKS, WIDTH, plain
from cuvee.units import HOURS_PER_DAY, SECONDS_PER_DAY, SECONDS_PER_HOUR
from cuvee.workload.day import clock

ROWS = 8
"""Lines of the chart above its axis."""

HOURS_PER_TICK = 4


def day_lines(day: PeriodPlan, console: Console) -> Iterator[Text]:
    """The chart, line by line, as wide as the console; of a day with a plan."""
    top = max(each.plan.rate_req_per_s for each in day.periods)
    values = [value for value in ticks(0.0, top, 5) if value]
    margin = max(len("req/s"), *(len(tick_label(value)) for value in values)) + 2
    # Whole columns to the hour, so that a period ends where the axis says.
    width = (min(console.width, WIDTH) - margin - 2) // int(HOURS_PER_DAY) * int(HOURS_PER_DAY)
    label_of = {min(ROWS - 1, int(value / top * ROWS - 1e-9)): tick_label(value) for value in values}
    columns = [_levels(day, (column + 0.5) / width * SECONDS_PER_DAY, ROWS / top) for column in range(width)]
    ascii_only = plain(console)
    yield Text(f"\n{'req/s':>{margin - 2}}", style="dim")
    for row in reversed(range(ROWS)):
        ruled = ("+" if ascii_only else "┤") if row in label_of else ("|" if ascii_only else "│")
        line = Text(f"{label_of.get(row, ''):>{margin - 2}} {ruled}", style="dim")
        for demand, held in columns:
            line.append(*_cell(demand - row, held - row, ascii_only=ascii_only))
        yield line
    yield from _axis(margin, width, ascii_only=ascii_only)


def _levels(day: PeriodPlan, time_s: float, rows_per_unit: float) -> tuple[float, float]:
    """Heights of demand and of what the fleet sustains, in rows."""
    demand = day.demand.rate_req_per_s[int(time_s // day.demand.step_s)]
    fleet = next(
        each.plan
        for each in day.periods
        if (time_s - each.period.start_s) % SECONDS_PER_DAY < each.period.hours * SECONDS_PER_HOUR
    )
    return demand * rows_per_unit, fleet.rate_req_per_s * rows_per_unit


def _cell(demand: float, held: float, *, ascii_only: bool) -> tuple[str, str]:
    """Glyph and colour of a cell, filled up to `demand` and shaded up to `held` [rows]."""
    eighths = round(min(1.0, max(0.0, demand)) * 8)
    if ascii_only:
        return ("#" if eighths >= 4 else "." if held >= 0.5 else " "), ""
    if eighths:
        # What a block leaves empty shows the shade behind it.
        return BLOCKS[eighths], "green4 on grey23" if held >= 0.5 else "green4"
    return ("░", "yellow") if held >= 0.5 else (" ", "")


def _axis(margin: int, width: int, *, ascii_only: bool) -> Iterator[Text]:
    line, labels = ["-" if ascii_only else "─"] * width, [" "] * (width + 5)
    for hour in range(0, int(HOURS_PER_DAY) + 1, HOURS_PER_TICK):
        column = round(hour / HOURS_PER_DAY * width)
        if column < width:
            line[column] = "+" if ascii_only else "┴"
        start = min(width - 5, max(0, column - 2))
        labels[start : start + 5] = clock(hour * SECONDS_PER_HOUR)
    corner = "+" if ascii_only else "└"
    yield Text(" " * (margin - 1) + corner + "".join(line), style="dim")
    yield Text(" " * margin + "".join(labels).rstrip(), style="dim")
