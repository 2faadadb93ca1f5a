"""Measured points as the table that calibrate, score and plan take: completed, and held against the data sheet."""

from collections.abc import Iterator

from cuvee.profile.imports.importing import Imported, ImportedPoint, judged
from cuvee.profile.imports.load_point import Deployment, Latency, LoadPoint, StatedLoad
from cuvee.profile.imports.setup import Setup, completed
from cuvee.profile.measure.options import MeasureOptions
from cuvee.profile.measure.paced import TTFT_TIMES
from cuvee.profile.measure.point import OVERRUN, TIGHT, Point, Spread
from cuvee.profile.measure.record import MeasureRecord
from cuvee.profile.measure.server_facts import ServerFacts
from cuvee.profile.measure.steps import TIMES_WITHIN, saturation
from cuvee.units import rounded
from cuvee.workload.records import WorkloadType

NAME = "cuvee profile"

FEW_CACHED = 0.02
"""Share of prompt tokens from a prefix cache that changes nothing to speak of [-]."""

FEW_SHORT = 0.01
"""The same of answers that ended too early [-]."""

BUSY = 0.9
"""Share of the time from which a load generator that is busy may itself be what limits [-]."""

LENGTH_GAP = 0.05
"""Gap between lengths seen and asked for from which a point is one of other requests [-]."""


def stated_deployment(facts: ServerFacts) -> Deployment:
    """What served, as far as the server says it."""
    return Deployment(engine=facts.engine, engine_version=facts.version, tp=facts.tp, pp=facts.pp, kv=facts.kv)


def require_deployment(record: MeasureRecord) -> None:
    """Raise InputError where nobody says on which GPU, at which degree of parallelism or which model."""
    stub = LoadPoint(
        record.url, NAME, 1.0, 1.0, StatedLoad(True), stated_deployment(record.facts), record.facts.served_name
    )
    completed(stub, Setup(record.deployment))


def measured_points(record: MeasureRecord) -> Imported:
    """The points of a record, each with all that speaks against it; raises InputError as `require_deployment`."""
    setup = Setup(record.deployment)
    points = [completed(_load_point(record, point), setup) for point in _in_order(record)]
    return Imported(judged(points), (), (), ())


def saturated_keys(record: MeasureRecord) -> dict[tuple[str, int | None, float | None], bool]:
    """Points that hold the saturated rate of their type, and whether it is shown to be."""
    found = (saturation(record.points_of(workload), record.options) for workload in record.types)
    return {each.point.key: each.is_reached for each in found if each is not None}


def what_would_saturate(record: MeasureRecord, workload: WorkloadType) -> str:
    """How to go on where the saturated rate of a type was not shown to be one."""
    held = sorted((each for each in record.points_of(workload) if each.is_held), key=lambda each: each.concurrency or 0)
    if len(held) > 1 and any(each.interval.relative > TIMES_WITHIN * record.options.within for each in held[-2:]):
        return "begin anew (--force) with a higher --max-seconds, as its intervals are too wide to tell"
    if held and (held[-1].concurrency or 0) >= record.options.max_concurrency:
        return f"go on with a --max-concurrency above {record.options.max_concurrency:,}"
    return "go on with higher caps, such as --max-seconds"


def in_pairs(record: MeasureRecord, imported: Imported) -> list[tuple[Point, ImportedPoint]]:
    """Each point as it was measured, beside itself in the table."""
    return list(zip(_in_order(record), imported.points, strict=True))


def _in_order(record: MeasureRecord) -> list[Point]:
    """By type, then those held under way before those paced, each from low to high."""
    order = [workload.name for workload in record.types]

    def place(point: Point) -> tuple[int, int, float]:
        load = point.concurrency if point.concurrency is not None else point.load or 0.0
        return order.index(point.type_name), 0 if point.is_held else 1, load

    return sorted(record.points, key=place)


def _load_point(record: MeasureRecord, point: Point) -> LoadPoint:
    load = f"c{point.concurrency}" if point.is_held else f"{point.load:.0%}"
    name = f"{point.type_name}-{load}"
    return LoadPoint(
        place=name,
        file_format=NAME,
        tool=NAME,
        input_tokens=point.input_tokens,
        output_tokens=point.output_tokens,
        load=StatedLoad(True, point.concurrency, point.request_rate_req_per_s),
        deployment=stated_deployment(record.facts),
        served_name=record.facts.served_name,
        rate_req_per_s=point.rate_req_per_s,
        output_tokens_per_s=point.rate_req_per_s * point.output_tokens,
        ttft=_latency(point.ttft),
        tpot=_latency(point.tpot),
        end_to_end=_latency(point.end_to_end),
        inter_token=_latency(point.inter_token),
        completed=point.completed,
        warm_up_completed=point.warm_up_answers,
        failed=point.failed,
        duration_s=point.window_s,
        id=name,
        note="; ".join(_notes(record, point)),
        source=f"{NAME} {record.url}",
        date=point.date,
        relative_error=point.interval.relative if point.is_held and point.half_width_req_per_s is not None else None,
        is_saturated=saturated_keys(record).get(point.key, False) if point.is_held else None,
        doubts=tuple(_doubts(record, point)),
    )


def _latency(spread: Spread | None) -> Latency | None:
    return None if spread is None else Latency(spread.mean_s, spread.percentiles_s)


def _notes(record: MeasureRecord, point: Point) -> Iterator[str]:
    reached = saturated_keys(record).get(point.key)
    if reached is not None:
        yield "saturated" if reached else "the highest rate found: not shown to be saturated"
    if point.is_held and point.half_width_req_per_s is not None:
        yield f"95 % interval of req/s +-{point.interval.relative:.1%}"
    for name, spread in (("TTFT", point.ttft), ("a request", point.end_to_end)):
        if not point.is_held and spread is not None and spread.half_width_s is not None:
            yield f"95 % interval of {name} +-{spread.half_width_s / spread.mean_s:.1%}"
    if point.ended != TIGHT:
        yield f"ended as {point.ended}"


def _doubts(record: MeasureRecord, point: Point) -> Iterator[str]:
    """What the figures of imports cannot tell."""
    yield from _wide(record.options, point)
    if point.ended == OVERRUN:
        yield f"more than {record.options.max_concurrency:,} requests were under way: arrivals were not kept up with"
    if point.cached_share > FEW_CACHED:
        yield f"a prefix cache had {point.cached_share:.0%} of the prompt tokens"
    if point.short > FEW_SHORT * point.completed:
        yield f"{point.short} of {point.completed} answers ended before the length asked for"
    if point.busy_share > BUSY:
        yield f"the load generator was busy {point.busy_share:.0%} of the time: it may be what limits"
    asked = next(workload for workload in record.types if workload.name == point.type_name)
    for name, seen, wanted in (
        ("prompts", point.input_tokens, asked.input_tokens),
        ("answers", point.output_tokens, asked.output_tokens),
    ):
        if abs(seen / max(wanted, 1.0) - 1) > LENGTH_GAP and abs(seen - wanted) > 1:
            yield f"{name} of {rounded(seen, 4)} tokens, and {rounded(wanted, 4)} were asked for"


def _wide(options: MeasureOptions, point: Point) -> Iterator[str]:
    if not point.is_held:
        yield from _wide_latencies(options, point)
    elif point.half_width_req_per_s is None:
        yield "a window too short for a confidence interval"
    elif point.interval.relative > TIMES_WITHIN * options.within:
        yield f"95 % interval of req/s +-{point.interval.relative:.0%}, and {options.within:.0%} was asked for"


def _wide_latencies(options: MeasureOptions, point: Point) -> Iterator[str]:
    for name, spread, within in (
        ("a request", point.end_to_end, options.latency_within),
        ("TTFT", point.ttft, TTFT_TIMES * options.latency_within),
    ):
        if spread is None or spread.half_width_s is None:
            yield f"too few answers for a confidence interval of {name}"
        elif spread.half_width_s > TIMES_WITHIN * within * spread.mean_s:
            wide = spread.half_width_s / spread.mean_s
            yield f"95 % interval of {name} +-{wide:.0%}, and {within:.0%} was asked for"
