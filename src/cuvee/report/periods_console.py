"""The printed day: demand and capacity, what is held always, fleets and timetable, what it saves, how sure that is."""

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from cuvee.plan.periods.result import Change, DayReplica, PeriodPlan
from cuvee.plan.solver.program import Termination
from cuvee.report.day_chart import day_lines
from cuvee.report.sources_console import rate_lines_of_several
from cuvee.report.style import dated, fitted, indented, literal, new_table, plain, rate, rule, tick
from cuvee.workload.day import clock

LEAST_SAVING = 5e-4
"""Below this a day saves nothing [-]: to the digits printed, it costs what the constant plan costs."""


def print_periods(day: PeriodPlan, console: Console) -> None:
    """Print the plan of a day."""
    console.print(_heading(day, console))
    if not day.has_plan:
        console.print(Text(f"\n{day.termination}: {literal(day.constant.message)}", style="bold red"))
        return
    for part in (*day_lines(day, console), _replicas(day, console), *_where_to_rent(day), _periods(day, console)):
        console.print(part)
    console.print(_timetable(day, console) if day.timetable else indented("nothing changes in the course of the day"))
    for part in (*_verdict(day, console), *_legend(day, console)):
        console.print(part)


def _heading(day: PeriodPlan, console: Console) -> RenderableType:
    problem = day.constant.inputs.problem
    parts = [
        "cuvee periods",
        " + ".join(entry.model.name for entry in problem.models),
        ", ".join(dict.fromkeys(entry.demand.name for entry in problem.models)),
        f"{problem.offers.name} ({dated(problem.offers.as_of)})",
        f"{day.demand.statistic} of {day.demand.name}" if day.demand.num_days > 1 else day.demand.name,
    ]
    return Text(literal(rule(console).join(parts)), style="bold")


def _replicas(day: PeriodPlan, console: Console) -> RenderableType:
    """A row per replica: how many always, how many at most."""
    several = len(day.constant.inputs.problem.models) > 1
    table = new_table(console, title="What is rented; ticked: some of it always")
    for header in ("", "id", *(["model"] if several else []), "replica", "deployment"):
        table.add_column(header)
    for header in ("always", "at most", "$/h each", "starts a day", "$ a start"):
        table.add_column(header, justify="right")
    for each in day.replicas:
        starts = sum(max(change, 0) for change in each.changes)
        spot = " spot" if any(part.spot for part in each.rented) else ""
        table.add_row(
            Text(tick(console) if each.always else "", style="bold green"),
            each.id,
            *([each.model] if several else []),
            each.config.gpu_label + spot,
            day.constant.deployment_of(each.config),
            str(each.always),
            str(max(each.copies)),
            f"{each.price_usd_per_hour:.2f}",
            str(starts),
            f"{each.start_usd:.2f}",
        )
    return fitted(table, console, fold=("model", "replica", "deployment"), drop=("$ a start", "starts a day"))


def _where_to_rent(day: PeriodPlan) -> Iterator[RenderableType]:
    """Offers of each replica, where offers differ in more than the GPU."""
    offers = day.constant.inputs.problem.offers.offers
    if len({(offer.seller, offer.region, offer.zone) for offer in offers}) > 1:
        for each in day.replicas:
            parts = [f"{part.num_gpus} GPUs of {part.label}" for part in each.rented]
            yield indented(literal(f"{each.id} rents {' and '.join(parts)}"))


def _periods(day: PeriodPlan, console: Console) -> RenderableType:
    table = new_table(console, title="Fleets of the day")
    table.add_column("from - to")
    for header in ("hours", "req/s", "sustains", "$/h"):
        table.add_column(header, justify="right")
    table.add_column("fleet")
    for index, each in enumerate(day.periods):
        fleet = _counts([(replica, replica.copies[index]) for replica in day.replicas])
        table.add_row(
            each.period.label,
            f"{each.period.hours:.3g}",
            rate(each.period.rate_req_per_s),
            rate(each.plan.rate_req_per_s),
            f"{each.plan.cost_usd_per_hour:.2f}",
            fleet,
        )
    return fitted(table, console, fold=("fleet",), drop=("hours", "sustains"))


def _timetable(day: PeriodPlan, console: Console) -> RenderableType:
    table = new_table(console, title="Timetable, every day")
    for header in ("at", "start by", "add", "drain"):
        table.add_column(header)
    replicas = {replica.id: replica for replica in day.replicas}
    for at_s in dict.fromkeys(change.at_s for change in day.timetable):
        here = [change for change in day.timetable if change.at_s == at_s]
        added = [change for change in here if change.copies > 0]
        drained = [(replicas[change.replica], -change.copies) for change in here if change.copies < 0]
        table.add_row(
            clock(at_s),
            _begin(added),
            _counts([(replicas[change.replica], change.copies) for change in added]),
            _counts(drained),
        )
    return fitted(table, console, fold=("add", "drain"))


def _begin(added: Sequence[Change]) -> str:
    """When to start so that all is ready, the seconds cut off."""
    return clock(min(change.begin_s // 60 * 60 for change in added)) if added else ""


def _counts(parts: Sequence[tuple[DayReplica, int]]) -> str:
    return ", ".join(f"{copies} {replica.id}" for replica, copies in parts if copies)


def _verdict(day: PeriodPlan, console: Console) -> Iterator[RenderableType]:
    change = f"{day.saving:.1%} less" if day.saving >= LEAST_SAVING else "no less"
    held = f"{day.constant.cost_usd_per_hour:.2f} $/h all day"
    parts = [f"{day.cost_usd_per_day:.2f} $/day", f"{change} than {day.constant_usd_per_day:.2f} for {held}"]
    yield Text(f"{tick(console)} {rule(console).join(parts)}", style="bold green")
    share = day.start_usd_per_day / day.cost_usd_per_day
    yield indented(f"{day.rent_usd_per_day:.2f} $/day are rent, {day.start_usd_per_day:.2f} are starts ({share:.1%})")
    if day.elastic_usd_per_day is not None:
        yield indented(f"with each fleet at its best and starts for free, no day costs less than "
                       f"{day.elastic_usd_per_day:.2f} $")  # fmt: skip
    meaning = {
        Termination.OPTIMAL: "optimal for these periods",
        Termination.FEASIBLE: "feasible for these periods",
    }.get(day.termination, day.termination.value)
    bound = "no bound: the search was stopped"
    if day.bound_usd_per_day is not None:
        bound = f"no plan costs less than {day.bound_usd_per_day:.2f} $/day (gap {day.gap or 0.0:.1e})"
    yield indented(f"{meaning}: {bound}; solved in {day.solve_seconds:.1f} s")


def _legend(day: PeriodPlan, console: Console) -> Iterator[RenderableType]:
    observed = sum(each.period.num_observed for each in day.periods)
    above = sum(each.period.num_above for each in day.periods)
    filled, shaded = ("#", ".") if plain(console) else ("█", "░")
    typical = f" of the typical day: {day.demand.statistic} over {day.demand.num_days} days"
    typical = typical if day.demand.num_days > 1 else " of the day"
    estimated = "" if day.start_up.seconds is not None else ", an estimate from the model's size"
    minutes = " to ".join(dict.fromkeys(f"{each / 60:.1f}" for each in sorted(r.startup_s for r in day.replicas)))
    lines = [
        f"{filled} demand{typical}; {shaded} what the fleets sustain above it",
        f"on {above} of the {observed} steps observed ({above / max(observed, 1):.1%}) demand was above its period's",
        f"a start takes {minutes} minutes{estimated}: paid, without requests; until then the old fleet runs on",
    ]
    if day.constant.termination is not Termination.OPTIMAL:
        lines.append(
            f"the constant fleet is not proven cheapest (gap {day.constant.gap or 0.0:.1e}): less may be saved"
        )
    problem = day.constant.inputs.problem
    if problem.aim.headroom:
        lines.append(f"fleets are planned {problem.aim.headroom:.0%} above the demand of their period")
    lines.extend(rate_lines_of_several([day.constant, *(each.plan for each in day.periods)]))
    lines.extend(day.demand.notes)
    lines.extend(problem.offers.notes)
    lines.extend(note for entry in problem.models for note in entry.demand.notes)
    yield Text("")
    for line in dict.fromkeys(lines):
        yield indented(literal(line), style="dim")
