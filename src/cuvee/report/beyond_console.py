"""The printed evaluation beyond the paper: the market, latency limits, fourteen days."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.evaluate.beyond import Beyond
from cuvee.evaluate.fortnight import SOON_S, Fortnight
from cuvee.evaluate.market import MarketResult
from cuvee.evaluate.within_limits import LIMITS, LimitedResult
from cuvee.report.evaluation_console import percent
from cuvee.report.style import fitted, indented, literal, new_table, rate

Rows = list[tuple[str, ...]]

MARKET_COLUMNS = ("model", "mix", "GPUs", "way", "$/h", "by plan", "played", "ours over it", "fleet")
LIMIT_COLUMNS = ("model, offers, req/s", "way", "$/h", "within", "TTFT p95", "TPOT p95", "fleet")
HELD_COLUMNS = ("way", "$", "saved", "hours short", "requests beyond", "fleet")
PLAYED_COLUMNS = ("way", "$", "TTFT p50", "TTFT p95", "E2E p95", f"first token in {SOON_S:g} s")

ABOUT_MARKET = (
    "req/s for the money at on-demand prices of the newest snapshot; played: a burst in the simulator. The best single "
    "type is the best as played of the three that serve most by plan"
)
ABOUT_LIMITS = (
    f"least cost for requests that arrive at random at that rate; within: share of the requests with TTFT at most "
    f"{LIMITS.ttft_s:g} s and TPOT at most {LIMITS.tpot_s:g} s, which plans are held to at {LIMITS.statistic} of each "
    "type"
)
ABOUT_DAYS = (
    "short: more demand than the fleet sustains. With hindsight each hour has the cheapest fleet for what came, and "
    "starts cost nothing: no way of replanning every hour costs less than the bound"
)


def print_beyond(found: Beyond, console: Console) -> None:
    """Print the parts that are there."""
    for title, columns, rows, about in tables(found):
        fold = tuple(name for name in ("way", "fleet", "model, offers, req/s") if name in columns)
        table = new_table(console, title=title)
        for name in columns:
            table.add_column(name, justify="left" if name in fold or name in ("model", "mix", "GPUs") else "right")
        for row in rows:
            table.add_row(*row)
        console.print(fitted(table, console, fold=fold, drop=("by plan", "mix")))
        console.print(indented(literal(about), style="dim"))
    if found.fortnight is None:
        console.print(Text("interrupted: what is missing was not done", style="yellow"))


def tables(found: Beyond) -> list[tuple[str, Sequence[str], Rows, str]]:
    """Title, header, rows and what they mean, of each part that is there."""
    parts: list[tuple[str, Sequence[str], Rows, str]] = []
    if found.market:
        budget = f"{found.market[0].budget_usd_per_hour:g} $/h"
        rows = [row for each in found.market for row in market_rows(each)]
        parts.append((f"This year's market, {budget}", MARKET_COLUMNS, rows, ABOUT_MARKET))
    if found.limited:
        rows = [row for each in found.limited for row in limit_rows(each)]
        parts.append(("Least cost within latency limits", LIMIT_COLUMNS, rows, ABOUT_LIMITS))
    days = found.fortnight
    if days is not None:
        num_days = len(days.demand_req_per_s) // 24
        about = f"{days.model} on {days.offers}, {days.series}, at most {max(days.demand_req_per_s):g} req/s"
        parts.append((f"{num_days} days of demand: {about}", HELD_COLUMNS, held_rows(days), ABOUT_DAYS))
        number = days.played[0].num_requests
        title = f"Day {days.busiest_day + 1}, the busiest, played: {number:,} requests"
        played = "each fleet begins empty when its period begins, and ends what came in it"
        parts.append((title, PLAYED_COLUMNS, played_rows(days), played))
    return parts


def market_rows(result: MarketResult) -> Rows:
    """A row for each way."""
    rows: Rows = []
    for each in result.outcomes:
        gain = None if each is result.ours else result.gain(each)
        rows.append(
            (
                result.model, result.mix, result.maker, each.name, f"{each.cost_usd_per_hour:.2f}",
                rate(each.planned_req_per_s), rate(each.played_req_per_s),
                "" if gain is None else percent(round(gain, 4) + 0.0),
                ", ".join(group.label for group in each.groups) or "none serves this",
            )
        )  # fmt: skip
    return rows


def limit_rows(result: LimitedResult) -> Rows:
    """A row for each way."""
    asked = result.question
    name = f"{asked.model}, {asked.offers}, {asked.rate_req_per_s:g}"
    return [
        (
            name, each.way, f"{each.cost_usd_per_hour:.2f}", f"{each.attainment:.1%}", f"{each.ttft_p95_s:.2f} s",
            f"{each.tpot_p95_s * 1000:.0f} ms", each.fleet,
        )
        if each.serves
        else (name, each.way, "", "", "", "", "none serves this")
        for each in result.outcomes
    ]  # fmt: skip


def held_rows(days: Fortnight) -> Rows:
    """A row for each way of renting."""
    rows: Rows = []
    for each in days.held:
        short = (f"{each.hours_short}", f"{each.share_short:.2%}") if each.capacity_req_per_s else ("", "")
        saved = "" if each is days.held[0] else f"{days.saving(each):.1%}"
        rows.append((each.way, f"{each.cost_usd:,.0f}", saved, *short, each.fleet))
    return rows


def played_rows(days: Fortnight) -> Rows:
    """A row for each way that was played."""
    return [
        (
            each.way, f"{each.cost_usd:,.0f}", f"{each.ttft_p50_s:.2f} s", f"{each.ttft_p95_s:.2f} s",
            f"{each.e2e_p95_s:.1f} s", f"{each.share_soon:.1%}",
        )
        for each in days.played
    ]  # fmt: skip


def beyond_record(found: Beyond) -> dict[str, Any]:
    """All of it as plain data."""
    record = found.record()
    for result, plain in zip(found.market, record["market"], strict=True):
        for outcome, fields in zip(result.outcomes, plain["outcomes"], strict=True):
            fields["gain_of_ours"] = result.gain(outcome)
    days = found.fortnight
    if days is not None:
        for way, fields in zip(days.held, record["fortnight"]["held"], strict=True):
            fields["saving"] = days.saving(way)
    return record
