"""The printed simulation: rate against plan, latencies, what each group did, and shares planned and achieved."""

import shlex
from dataclasses import asdict
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cuvee.plan.outcome.result import Group
from cuvee.profile.phases import Phase
from cuvee.report.style import fitted, indented, literal, new_table
from cuvee.simulate.latencies import PERCENTILES, Latencies
from cuvee.simulate.metrics import Report, Scope, other_mix
from cuvee.simulate.simulation import Simulation
from cuvee.simulate.use import GroupUse
from cuvee.units import plural
from cuvee.workload.latency_limits import time_text

SCHEMA_VERSION = 1

SHOWN = (50, 95)
"""Percentiles on the screen; all are in the JSON."""

MOST_TYPES = 20
"""Workload types that are listed."""

OFF = 0.01
"""How far an achieved share may be from the planned one before it is listed [-]."""

MOST_OFF = 8
"""Shares listed, the furthest off first."""


def print_simulation(simulation: Simulation, report: Report, console: Console) -> None:
    """Print a simulation within the width of `console`."""
    console.print(Text(literal(_heading(simulation, report)), style="bold"))
    for line in _verdict(simulation, report):
        console.print(indented(literal(line)))
    console.print()
    console.print(_latencies(report, console))
    console.print(_uses(simulation, report, console))
    for line in _share_lines(report):
        console.print(indented(literal(line)))
    console.print(indented(_legend(simulation, report), style="dim"))


def simulation_record(simulation: Simulation, report: Report) -> dict[str, Any]:
    """The same as plain data, with every percentile and series; a figure that does not exist is null."""
    record = asdict(report)
    record["percentiles"] = list(PERCENTILES)
    inputs = {
        "policy": simulation.policy,
        "answers": simulation.foresight.value,
        "prefix_cache": simulation.found is not None,
        "seed": simulation.seed,
        "requests_from": simulation.arrivals.source,
        "shortened_requests": simulation.arrivals.num_shortened,
        "notes": _notes(simulation, report),
        "events": [asdict(event) for event in simulation.events],
    }
    cleaned: dict[str, Any] = _without_nan({"schema_version": SCHEMA_VERSION, **inputs, **record})
    return cleaned


def _heading(simulation: Simulation, report: Report) -> str:
    source = simulation.arrivals.source
    return f"simulated: {plural(report.num_requests, 'request')} from {source}, policy {simulation.policy}"


def _verdict(simulation: Simulation, report: Report) -> list[str]:
    whole, load = report.all, report.offered_req_per_s / max(report.planned_req_per_s, 1e-12)
    arriving = (
        f"arriving {report.offered_req_per_s:.4g} req/s ({load:.0%} of the plan's {report.planned_req_per_s:.4g})"
    )
    if not report.offered_req_per_s:
        arriving = "all arriving at once"
    lines = [
        f"{arriving}, finished {whole.rate_req_per_s:.4g} req/s, {whole.input_tokens_per_s:,.0f} input and "
        f"{whole.output_tokens_per_s:,.0f} output tokens/s",
    ]
    if report.usd_per_million_tokens is not None:
        lines.append(
            f"{report.cost_usd_per_hour:.2f} $/h, {report.usd_per_million_tokens:.3g} $ per million output tokens at "
            "this load"
        )
        within = whole.usd_per_million_tokens_within["e2e"]
        told = [f"p{percentile} {within[PERCENTILES.index(percentile)]:.3g} $" for percentile in SHOWN]
        lines.append(f"the same, where only requests within a percentile of e2e count: {', '.join(told)}")
    if whole.found_share is not None:
        lines.append(f"found in the prefix cache: {whole.found_share:.1%} of prompt tokens")
    if whole.attainment is not None:
        lines.append(
            f"within the latency limits: {whole.attainment:.1%} of requests, {whole.goodput_req_per_s or 0:.4g} req/s"
        )
    if line := _other_mix(simulation):
        lines.append(line)
    if report.is_short:
        lines.append(
            f"too short to tell rates and costs: requests arrive for {time_text(report.arriving_s)}, the fleet takes "
            f"about {time_text(report.filling_s)} to fill up; simulate some {report.enough_requests:,} requests"
        )
    if report.lost:
        reasons = ", ".join(f"{count:,} because {reason}" for reason, count in report.lost_by_reason.items())
        lines.append(f"{report.lost:,} requests got no last token: {reasons}")
    if simulation.arrivals.num_shortened:
        lines.append(f"{simulation.arrivals.num_shortened:,} requests were cut to the longest context of their model")
    return [*lines, *_notes(simulation, report)]


def _notes(simulation: Simulation, report: Report) -> list[str]:
    """What of the trace was left out or changed, and events that came too late to change anything."""
    end_s = max(report.duration_s, report.arriving_s)
    late = [f"{event.kind} {event.group} at {event.time_s:g} s" for event in simulation.events if event.time_s > end_s]
    told = f"after the end, at {time_text(end_s)}, and so without effect: {', '.join(late)}"
    return [*simulation.arrivals.notes, *([told] if late else [])]


def _other_mix(simulation: Simulation) -> str:
    """Says so where the requests of a trace are of another mix than the plan is for."""
    found = other_mix(simulation)
    if found is None:
        return ""
    return (
        f"these requests are not of the plan's mix: {found.workload} {found.arrived:.0%} of them, planned "
        f"{found.planned:.0%}; to plan for them: cuvee plan --trace {shlex.quote(simulation.arrivals.file or 'FILE')}"
    )


def _latencies(report: Report, console: Console) -> Table:
    table = new_table(console)
    table.add_column("requests")
    for column in ("n", "req/s"):
        table.add_column(column, justify="right")
    for label in ("TTFT", "TPOT", "e2e"):
        for percentile in SHOWN:
            table.add_column(f"{label} p{percentile}" if percentile == SHOWN[0] else f"p{percentile}", justify="right")
    kinds = [scope for scope in report.scopes if scope.kind != "group"]
    for scope in kinds[: MOST_TYPES + 1]:
        table.add_row(
            literal(scope.name), f"{scope.num_requests:,}", f"{scope.rate_req_per_s:.4g}", *_cells(scope),
            style="bold" if scope.kind == "all" else None,
        )  # fmt: skip
    return fitted(table, console, fold=("requests",), drop=("n",))


def _cells(scope: Scope) -> list[str]:
    return [_time(latency, percentile) for latency in (scope.ttft, scope.tpot, scope.e2e) for percentile in SHOWN]


def _time(latency: Latencies, percentile: int) -> str:
    value = latency.at(percentile)
    return time_text(value).replace(" ", "") if isfinite(value) else "-"


def _uses(simulation: Simulation, report: Report, console: Console) -> Table:
    table = new_table(console)
    table.add_column("group")
    table.add_column("replicas")
    for column in ("req/s", "busy", "running", "queue", "cache", "put back", "TTFT p95", "e2e p95"):
        table.add_column(column, justify="right")
    scopes = {scope.name: scope for scope in report.scopes if scope.kind == "group"}
    for use, each in zip(report.uses, simulation.fleet.groups, strict=True):
        scope, group = scopes[use.group], each.group
        table.add_row(
            use.group, _replicas(group),
            f"{scope.rate_req_per_s:.4g}", f"{use.busy:.0%}", f"{use.running:.1f}", f"{use.waiting:.1f}",
            f"{_peak(use):.0%}",
            f"{use.preemptions:,}", _time(scope.ttft, 95), _time(scope.e2e, 95),
        )  # fmt: skip
    return fitted(table, console, fold=("replicas",), drop=("queue", "running"))


def _replicas(group: Group) -> str:
    phase = "" if group.phase is Phase.BOTH else f", {group.phase}"
    return f"{group.copies} x {group.config.gpu_label} {group.config.parallel_label}{phase}"


def _peak(use: GroupUse) -> float:
    return max(use.series_cache)


def _share_lines(report: Report) -> list[str]:
    """Shares that are not what the plan says."""
    known = [(each, each.achieved) for each in report.shares if each.achieved is not None]
    off = [(each, achieved) for each, achieved in known if abs(achieved - each.planned) > OFF]
    if not off:
        return [f"every share is within {OFF:.0%} of the plan's"] if known else []
    off.sort(key=lambda pair: -abs(pair[1] - pair[0].planned))
    listed = [
        f"{each.workload} to {each.group} {achieved:.0%} (planned {each.planned:.0%})"
        for each, achieved in off[:MOST_OFF]
    ]
    more = f" and {len(off) - MOST_OFF} more" if len(off) > MOST_OFF else ""
    return [f"shares off the plan: {', '.join(listed)}{more}"]


def _legend(simulation: Simulation, report: Report) -> str:
    parts = [
        "req/s: finished, without the first tenth of the time",
        "busy: share of the time in which it computes",
        "running: mean requests a replica holds",
        "queue: of those, without a first token",
        "cache: most of it in use",
        "put back: sequences computed anew for lack of cache",
    ]
    slowed = [each.group.id for each in simulation.fleet.groups if abs(each.slowed - 1) > 1e-6]
    if slowed:
        parts.append(f"steps of {', '.join(slowed)} scaled to the plan's rates")
    parts.append(f"{report.requests_per_cpu_s:,.0f} requests simulated per CPU second; seed {simulation.seed}")
    return "; ".join(parts)


def _without_nan(value: Any) -> Any:  # noqa: ANN401 any JSON value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return value
