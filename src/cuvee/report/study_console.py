"""The printed study: requests per dollar of GPU types and workload types, who leads, and the paper's observations."""

from collections.abc import Iterator, Sequence
from itertools import product

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cuvee.report.study_loads import SHOWN_PERCENTILE, load_tables
from cuvee.report.study_text import (
    MARKS,
    case_text,
    counted,
    estimates_text,
    finding_text,
    given_texts,
    lengths_text,
    listed_text,
    number,
    observation_text,
    parallel_text,
    prices_title,
)
from cuvee.report.style import WIDTH, fitted, indented, literal, new_table, plain, rule
from cuvee.study.entry import Entry
from cuvee.study.finding import Verdict
from cuvee.study.leads import Lead, lead
from cuvee.study.observations import observations
from cuvee.study.performance import Performance
from cuvee.study.prices import used_prices
from cuvee.study.study import Study
from cuvee.workload.records import WorkloadType

SHOWN_PERCENTILES = (50.0, 90.0, 99.0)
"""Latency percentiles of the printed tables [%]; --json and --csv have all."""

TTFT_PERCENTILE = 90.0

TYPES_OF_A_TABLE = 9
"""Workload types side by side [-]; more go into a table below."""

DISPENSABLE = ("as", "cost\np50", "E2E\np50", "cost\np90")
"""Columns of latencies that a narrow terminal does without, first to last; --json and --csv have all."""

VERDICT_STYLES = {Verdict.HOLDS: "green", Verdict.IN_PART: "yellow", Verdict.TIE: "yellow", Verdict.FAILS: "red"}


def print_study(
    studies: Sequence[Study],
    console: Console,
    *,
    configurations: bool = False,
    latencies: bool = False,
    performances: Sequence[Performance] = (),
) -> None:
    """Print the studies one below the other.

    Parameters
        configurations    The best configuration of each GPU type, too.
        latencies         Latency percentiles and what they cost, too.
        performances      What the studies rest on: with `latencies`, those at several loads are printed.
    """
    for study in studies:
        engine = f"{study.engine.name}, {estimates_text(study, '+-')}"
        heading = rule(console).join(["cuvee benchmark", prices_title(study), engine])
        console.print(Text(literal(heading), style="bold"))
        for line in given_texts(study, "+-"):
            console.print(indented(literal(line)))
        console.print()
        for model in study.models:
            for table in _grids(study, model.name, console):
                console.print(table)
            if configurations:
                for table in _configuration_tables(study, model.name, console):
                    console.print(table)
            console.print(_lead_table(study, model.name, console))
            for line in _without_doubt(study, model.name):
                console.print(indented(literal(line), style="dim"))
            console.print()
            if latencies:
                for table in _latency_tables(study, model.name, console):
                    console.print(table)
                for table in load_tables(study, model.name, performances, console):
                    console.print(table)
        console.print(_price_table(study, console))
        _print_observations(study, console)
    for note in _legend(studies, latencies):
        console.print(indented(literal(note), style="dim"))


def _grids(study: Study, model: str, console: Console) -> Iterator[RenderableType]:
    """GPU types times workload types; leaders and those tied with them are marked."""
    for chosen in _side_by_side(study):
        leads = {kind.name: lead(study, model, kind.name) for kind in chosen}
        table = _titled(console, f"{model}: req/s per $/h", gap=_gap(console))
        table.add_column("GPU")
        table.add_column("$/h", justify="right")
        for kind in chosen:
            table.add_column(lengths_text(kind).replace("/", "\n/"), justify="right")
        for gpu in study.gpus:
            found = [study.best(model, gpu.name, kind.name) for kind in chosen]
            if any(found):
                cells = [_cell(entry, leads[kind.name], console) for entry, kind in zip(found, chosen, strict=True)]
                table.add_row(gpu.name, _price([entry for entry in found if entry]), *cells)
        yield fitted(table, console, fold=("GPU",), drop=("$/h",), gap=_gap(console))


def _gap(console: Console) -> int:
    """Columns of blank between two of a table of many figures, beside that of its frame [-]."""
    return 0 if console.width < WIDTH else 1


def _titled(console: Console, title: str, *, gap: int | None = None) -> Table:
    """A table that is as wide as its title at least: a narrower one would break it."""
    table = new_table(console, title=title, gap=gap)
    table.min_width = min(len(title) + 1, console.width)
    return table


def _price(entries: Sequence[Entry]) -> str:
    """Lowest price of a GPU over the machines chosen; "+" where larger ones cost more."""
    prices = {f"{entry.offer.price_usd_per_gpu_hour:.2f}" for entry in entries}
    return min(prices, key=float) + ("+" if len(prices) > 1 else " ")


def _cell(entry: Entry | None, found: Lead | None, console: Console) -> Text:
    if entry is None or found is None:
        return Text("." if plain(console) else "·", style="dim")
    value = number(entry.efficiency)
    if entry is found.first:
        return Text(f"{value}*", style="bold green")
    return Text(f"{value}=" if entry.gpu in found.ties else f"{value} ", style="" if entry.gpu in found.ties else "dim")


def _configuration_tables(study: Study, model: str, console: Console) -> Iterator[RenderableType]:
    for chosen in _side_by_side(study):
        table = _titled(console, f"{model}: best configuration", gap=_gap(console))
        for header in ("GPU", *map(lengths_text, chosen)):
            table.add_column(header.replace("/", "\n/"))
        for gpu in study.gpus:
            found = [study.best(model, gpu.name, kind.name) for kind in chosen]
            if any(found):
                table.add_row(gpu.name, *(parallel_text(entry).replace(" ", "") if entry else "" for entry in found))
        yield fitted(table, console, fold=("GPU",), gap=_gap(console))


def _side_by_side(study: Study) -> Iterator[Sequence[WorkloadType]]:
    """Workload types of one table after the other."""
    workloads = study.asked.workloads
    return (workloads[start : start + TYPES_OF_A_TABLE] for start in range(0, len(workloads), TYPES_OF_A_TABLE))


def _lead_table(study: Study, model: str, console: Console) -> Table:
    table = _titled(console, f"{model}: cheapest GPU type")
    for header in ("requests", "cheapest", "as", "listed", "over next", "", "tied with", "over last", "$/million"):
        table.add_column(header, justify="right" if header in ("over next", "over last", "$/million") else "left")
    for kind in study.asked.workloads:
        found = lead(study, model, kind.name)
        if found is None:
            table.add_row(lengths_text(kind), "none")
            continue
        following = found.ranking[1].gpu if len(found.ranking) > 1 else ""
        over_next = f"{found.over_next.factor:.2f}" if found.over_next else ""
        over_last = f"{found.over_last.factor:.2f}" if found.over_last else ""
        ties = f"{len(found.ties)} of {len(found.ranking) - 1}" if found.ties else "none"
        money = number(found.first.usd_per_million_requests)
        first = (found.first.gpu, parallel_text(found.first), listed_text(found.first.offer))
        table.add_row(lengths_text(kind), *first, over_next, following, ties, over_last, money)
    return fitted(table, console, fold=("cheapest", "listed", ""), drop=("over last",))


def _price_table(study: Study, console: Console) -> Table:
    """Every price that a figure above rests on, with its date."""
    table = _titled(console, f"{prices_title(study)}: where they are from")
    for header in ("GPU", "$/h", "replicas of", "seller", "listed"):
        table.add_column(header, justify="right" if header == "$/h" else "left")
    for used in used_prices(entry for gpu in study.gpus for entry in study.shown() if entry.gpu == gpu.name):
        sizes, seller = ", ".join(map(str, used.sizes)), used.offer.seller
        table.add_row(used.gpu, f"{used.offer.price_usd_per_gpu_hour:.2f}", sizes, seller, listed_text(used.offer))
    return fitted(table, console, fold=("GPU", "seller", "listed"))


def _without_doubt(study: Study, model: str) -> Iterator[str]:
    """Who leads among GPU types whose estimates are not extrapolated, and among those with a known error."""
    leads = [found for kind in study.asked.workloads if (found := lead(study, model, kind.name)) is not None]
    extrapolated = [entry for found in leads for entry in found.ranking if entry.extrapolated]
    if extrapolated:
        rest = _named([found.covered for found in leads if found.covered is not None])
        named = ", ".join(dict.fromkeys(entry.gpu for entry in extrapolated))
        yield f"{named}: extrapolated from GPUs of another maker; cheapest without: {rest}"
    if any(found.first is not found.newest for found in leads) and study.newest_year:
        newest = [found.newest for found in leads if found.newest is not None]
        yield f"cheapest at prices of {study.newest_year}, which not every GPU type has: {_named(newest)}"
    backed = [found.backed for found in leads if found.backed is not None]
    yield f"cheapest with a known error: {_named(backed)}"


def _named(entries: Sequence[Entry]) -> str:
    return ", ".join(f"{gpu} for {count}" for gpu, count in counted(entries)) or "none"


def _latency_tables(study: Study, model: str, console: Console) -> Iterator[Table]:
    load = study.asked.load
    columns = [("TTFT", TTFT_PERCENTILE), *product(("E2E", "cost"), SHOWN_PERCENTILES)]
    for kind in study.asked.workloads:
        ranking = study.ranking(model, kind.name)
        if not ranking:
            continue
        table = new_table(
            console, title=f"{model}, {lengths_text(kind)}: latency at {load:.0%} load and its cost", gap=_gap(console)
        )
        for header in ("GPU", "as", "$/million"):
            table.add_column(header, justify="right" if header == "$/million" else "left")
        for what, percentile in columns:
            table.add_column(f"{what}\np{percentile:g}", justify="right")
        for entry in ranking:
            first = number(entry.latency_at(TTFT_PERCENTILE).ttft_s)
            whole = [number(entry.latency_at(percentile).e2e_s) for percentile in SHOWN_PERCENTILES]
            money = [number(entry.latency_usd_per_million(percentile)) for percentile in SHOWN_PERCENTILES]
            money_at_load = number(entry.usd_per_million_requests_at_load)
            table.add_row(entry.gpu, parallel_text(entry), money_at_load, first, *whole, *money)
        yield fitted(table, console, fold=("GPU",), drop=DISPENSABLE, gap=_gap(console))


def _print_observations(study: Study, console: Console) -> None:
    console.print(Text(literal(f"The paper's observations at {prices_title(study)}"), style="bold"))
    for index, observation in enumerate(observations(study), start=1):
        line = Text(f"{index}. {literal(observation.title)}: ")
        line.append(observation.verdict.value, style=f"bold {VERDICT_STYLES[observation.verdict]}")
        console.print(line)
        console.print(indented(literal(observation_text(observation))))
        for case in observation.largest_by_model:
            console.print(indented(literal(f"largest: {case_text(case)}")))
        for finding in observation.findings:
            mark = MARKS[finding.verdict]
            console.print(indented(literal(f"{mark} {finding.verdict}: {finding_text(finding)}"), style="dim"))
    console.print()


def _legend(studies: Sequence[Study], latencies: bool) -> Iterator[str]:
    yield (
        "requests: mean prompt/answer [tokens]; $/h: of one GPU, + where larger machines cost more of each; "
        "*: most requests per dollar; =: tied with it, the lead is inside the error; listed: of when the price is"
    )
    yield (
        "each figure is of the best of all splits of 8 GPUs into equal replicas, at the lowest price of machines with "
        "room for one, of the newest year in which such a machine is listed; $/million: a million requests at full load"
    )
    if latencies:
        yield (
            f"over load: TTFT [s], time per output token after the first (TPOT) [ms] and end to end (E2E) [s], all at "
            f"p{SHOWN_PERCENTILE:g}, by the share of the saturated rate that the replica serves; --json has p50 to p99"
        )
        yield (
            "TTFT, E2E: time to first and to last token [s]; cost: what the replica costs while a request of that "
            "percentile is under way [$ per million]; $/million: a million requests at that load"
        )
    for study in studies:
        for note in (*study.notes, *study.offers.notes):
            yield f"{study.offers.name}: {note}"
