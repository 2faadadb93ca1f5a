"""The printed measurement: what will be sent, each point as it comes, and the table of all."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from cuvee.profile.imports.importing import Imported
from cuvee.profile.measure.allowance import Caps, Sent
from cuvee.profile.measure.estimate import Expected
from cuvee.profile.measure.load_points import in_pairs, saturated_keys, what_would_saturate
from cuvee.profile.measure.point import Point, Spread
from cuvee.profile.measure.record import MeasureRecord
from cuvee.profile.measure.sweep import Measured, Measuring
from cuvee.report.style import fitted, indented, literal, new_table, tick
from cuvee.units import MS_PER_S, plural, rounded

SCHEMA_VERSION = 1
SECONDS_PER_MINUTE = 60.0
TTFT, TPOT = "TTFT ms (p50/p99)", "TPOT ms (p50/p99)"


def intent_line(asked: Measuring, expected: Sequence[Expected | None]) -> str:
    """What is going to happen, on one line."""
    about = f", about {_total(expected)} by the model" if all(expected) else ""
    types = plural(len(asked.types), "workload type")
    return f"measuring {types} at {literal(asked.url)}{about}; {_caps_line(asked.caps)}"


def point_line(point: Point) -> str:
    """One point, as soon as it is there."""
    load = f"{point.concurrency:,} under way" if point.is_held else f"{point.load:.0%} load"
    wide = f" {_wide(point)}".rstrip()
    time_s = "" if point.end_to_end is None else f", {rounded(point.end_to_end.mean_s)} s a request"
    ttft = "" if point.ttft is None else f", TTFT {rounded(point.ttft.mean_s * MS_PER_S)} ms"
    answers = plural(point.completed, "answer")
    return f"{point.type_name}: {load}: {rounded(point.rate_req_per_s)} req/s{wide}{ttft}{time_s}, {answers}"


def print_profile(measured: Measured, imported: Imported, console: Console, *, saved: str) -> None:
    """Print every point, what speaks against some, and what to do with them."""
    record = measured.record
    engine = " ".join(filter(None, (record.facts.engine, record.facts.version))) or "engine not stated"
    heading = f"{plural(len(record.points), 'point')} of {plural(len(record.types), 'workload type')}"
    console.print(Text(literal(f"{heading} at {record.url}: {engine}"), style="bold"))
    if record.points:
        console.print(_table(record, imported, console))
    for each in imported.points:
        for doubt in each.doubts:
            console.print(indented(literal(f"doubtful: {each.id}: {doubt}"), style="yellow"))
    reached = {key[0]: is_reached for key, is_reached in saturated_keys(record).items()}
    for workload in record.types:
        if not reached.get(workload.name, True):
            text = f"not shown to be saturated: {workload.name}: cuvee plan leaves its rate out"
            console.print(indented(literal(f"{text}; {what_would_saturate(record, workload)}"), style="yellow"))
    if measured.ended:
        text = f"ended early: {measured.ended}; the same command with a higher cap goes on"
        console.print(indented(literal(text), style="yellow"))
    elif measured.interrupted:
        console.print(indented("interrupted: the same command goes on", style="yellow"))
    for note in (*measured.notes, *_remarks(imported)):
        console.print(indented(literal(f"note: {note}"), style="dim"))
    console.print(indented(f"sent over all runs: {_sent_line(record.sent)}", style="dim"))
    if record.points:
        console.print(indented(literal(_next(record, imported, saved))))


def profile_record(measured: Measured, imported: Imported, saved: str) -> dict[str, Any]:
    """The same as plain data, with every interval, percentile and count."""
    record = measured.record
    keys = saturated_keys(record)
    return {
        "schema_version": SCHEMA_VERSION,
        "saved": saved,
        "url": record.url,
        "server": asdict(record.facts),
        "deployment": asdict(record.deployment),
        "sent": asdict(record.sent),
        "ended": measured.ended,
        "interrupted": measured.interrupted,
        "failure": measured.failure and measured.failure.arrived,
        "points": [
            {
                "id": each.id,
                **asdict(point),
                "is_saturated_rate": point.key in keys,
                "is_saturated": keys.get(point.key),
                "doubts": list(each.doubts),
                "remarks": list(each.remarks),
            }
            for point, each in in_pairs(record, imported)
        ],
        "notes": list(measured.notes),
    }


def print_intent(
    asked: Measuring, expected: Sequence[Expected | None], earlier: MeasureRecord | None, console: Console
) -> None:
    """Print what would be sent."""
    heading = f"nothing is sent: {plural(len(asked.types), 'workload type')} would be measured at {asked.url}"
    console.print(Text(literal(heading), style="bold"))
    table = new_table(console)
    for column in ("type", "loads, about"):
        table.add_column(column)
    for column in ("tokens", "req/s", "requests", "tokens sent", "min"):
        table.add_column(column, justify="right")
    for workload, each in zip(asked.types, expected, strict=True):
        lengths = f"{rounded(workload.input_tokens, 4)}/{rounded(workload.output_tokens, 4)}"
        if each is None:
            table.add_row(workload.name, "not known", lengths, "-", "-", "-", "-")
        else:
            held = ", ".join(f"{load.concurrency:,}" for load in each.loads if load.concurrency is not None)
            paced = ", ".join(f"{load.share:.0%}" for load in each.loads if load.share is not None)
            loads = "; ".join(filter(None, (f"{held} held", paced)))
            table.add_row(
                workload.name, loads, lengths, rounded(each.rate_req_per_s), f"{each.requests:,.0f}",
                f"{each.tokens:,.0f}", _minutes(each.seconds),
            )  # fmt: skip
    console.print(fitted(table, console, fold=("type", "loads, about")))
    if any(expected):
        console.print(indented(f"together about {_total(expected)}, by the rates of the throughput model", style="dim"))
    console.print(indented(f"whatever the rates are: {_caps_line(asked.caps)}"))
    if earlier is not None:
        console.print(indented(f"sent by earlier runs, which count: {_sent_line(earlier.sent)}"))
    console.print(indented(literal(f"a request, its prompt left out: {_example(asked)}"), style="dim"))


def intent_record(
    asked: Measuring, expected: Sequence[Expected | None], earlier: MeasureRecord | None
) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "url": asked.url,
        "caps": asdict(asked.caps),
        "sent": asdict(earlier.sent if earlier else Sent()),
        "types": [
            {**asdict(workload), "expected": None if each is None else asdict(each)}
            for workload, each in zip(asked.types, expected, strict=True)
        ],
    }


def _total(expected: Sequence[Expected | None]) -> str:
    known = [each for each in expected if each is not None]
    requests, seconds = sum(each.requests for each in known), sum(each.seconds for each in known)
    return f"{plural(round(requests), 'request')} in {_minutes(seconds)} min"


def _minutes(seconds: float) -> str:
    """One digit after the point below ten [min]: most runs take a few."""
    minutes = seconds / SECONDS_PER_MINUTE
    return f"{minutes:,.0f}" if minutes >= 10 else f"{minutes:.1f}"


def _example(asked: Measuring) -> str:
    output = max(1, round(asked.types[0].output_tokens))
    body = {"max_tokens": output, "min_tokens": output, "ignore_eos": True, "temperature": 1.0, "stream": True}
    path = "/v1/chat/completions" if asked.options.api == "chat" else "/v1/completions"
    return f"POST {path} {json.dumps(body)}"


def _caps_line(caps: Caps) -> str:
    parts = [
        "" if caps.max_requests is None else plural(caps.max_requests, "request"),
        "" if caps.max_tokens is None else plural(caps.max_tokens, "token"),
        "" if caps.max_time_s is None else f"{rounded(caps.max_time_s / SECONDS_PER_MINUTE)} min",
    ]
    return "at most " + ", ".join(filter(None, parts))


def _sent_line(sent: Sent) -> str:
    minutes = sent.seconds / SECONDS_PER_MINUTE
    counts = f"{plural(sent.requests, 'request')}, {plural(sent.tokens, 'token')}"
    if sent.is_at_most:
        counts = f"at most {counts}, as a run was killed before it counted them"
    return f"{counts}{';' if sent.is_at_most else ','} {minutes:.1f} min"


def _next(record: MeasureRecord, imported: Imported, saved: str) -> str:
    """The commands that have a use for what was measured."""
    good = [point for point, each in in_pairs(record, imported) if not each.is_doubtful]
    if not good:
        return "every point is doubtful: score, calibrate and plan leave them out until they are measured again"
    calibrating = f"; cuvee calibrate {saved} --save calibration.json" if any(point.is_held for point in good) else ""
    return f"next: cuvee score {saved}{calibrating}"


def _remarks(imported: Imported) -> Iterator[str]:
    """Each remark once, with the points that it is of."""
    of: dict[str, list[str]] = {}
    for each in imported.points:
        for remark in each.remarks:
            of.setdefault(remark, []).append(each.id)
    for remark, names in of.items():
        yield f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {remark}"


def _table(record: MeasureRecord, imported: Imported, console: Console) -> Any:  # noqa: ANN401 a rich table
    table = new_table(console)
    for column in ("", "type", "load"):
        table.add_column(column)
    for column in ("tokens", "req/s", "", TTFT, TPOT, "request s", "n"):
        table.add_column(column, justify="right")
    keys, last = saturated_keys(record), ""
    for point, each in in_pairs(record, imported):
        mark = "?" if each.is_doubtful else tick(console) if point.key in keys else ""
        load = f"{point.concurrency:,} held" if point.is_held else f"{point.load:.0%}"
        table.add_row(
            mark, "" if point.type_name == last else point.type_name, load,
            f"{rounded(point.input_tokens, 4)}/{rounded(point.output_tokens, 4)}", rounded(point.rate_req_per_s),
            _wide(point), _shown(point.ttft), _shown(point.tpot),
            "-" if point.end_to_end is None else rounded(point.end_to_end.mean_s), f"{point.completed:,}",
            style="yellow" if each.is_doubtful else None,
        )  # fmt: skip
        last = point.type_name
    return fitted(table, console, fold=("type", TTFT, TPOT), drop=("tokens",))


def _wide(point: Point) -> str:
    """Interval of the rate that was held; one of paced arrivals is only that of their chance."""
    return f"+-{point.interval.relative:.1%}" if point.is_held and math.isfinite(point.interval.relative) else ""


def _shown(spread: Spread | None) -> str:
    """Mean and percentiles [ms]."""
    if spread is None:
        return "-"
    found = [spread.percentiles_s.get(each) for each in (50, 99)]
    shown = "/".join("-" if value_s is None else rounded(value_s * MS_PER_S) for value_s in found)
    mean = rounded(spread.mean_s * MS_PER_S)
    return f"{mean} ({shown})" if any(value_s is not None for value_s in found) else mean
