"""Results of AIPerf: its summary of a run, or its records of single requests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cuvee.catalog.records import Record
from cuvee.errors import InputError
from cuvee.profile.figures import figure, range_text
from cuvee.profile.imports.fields import (
    AGAIN,
    above_zero,
    day,
    inner,
    items,
    latency,
    maybe_above_zero,
    maybe_inner,
    maybe_text,
)
from cuvee.profile.imports.load_point import PERCENTILES, Latency, LoadPoint, StatedLoad

NAME = "AIPerf"
RECORDS = "AIPerf records"
UNITS_PER_SECOND = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0, "sec": 1.0}
NS_PER_S = 1e9
LATEST_NS = 10**19
"""Far behind any clock [ns]."""

PACED = ("constant", "poisson", "gamma")
MEASURED = "profiling"
"""Kind of the phases that are measured; those of another kind warm up."""


def is_summary(content: dict[str, Any]) -> bool:
    """Whether an object is the summary of a run."""
    return "aiperf_version" in content and isinstance(content.get("request_throughput"), dict)


def is_record(content: dict[str, Any]) -> bool:
    """Whether an object is the record of one request."""
    metadata = content.get("metadata")
    return (
        isinstance(metadata, dict) and "request_start_ns" in metadata and ("metrics" in content or "error" in content)
    )


# -- the summary of a run ---------------------------------------------------------------------


def read_summary(record: Record) -> LoadPoint:
    """Load point of a summary."""
    version = record.text("aiperf_version")
    completed = round(_mean(record, "request_count", ("requests",)))
    tokens = _stated(record, "output_token_throughput", ("tokens/sec",))
    return LoadPoint(
        place=record.place,
        file_format=NAME,
        tool=f"{NAME} {version}",
        input_tokens=_mean(record, "input_sequence_length", ("tokens",)),
        output_tokens=_mean(record, "output_sequence_length", ("tokens",)),
        load=_load(record),
        served_name=_served_name(record),
        rate_req_per_s=_mean(record, "request_throughput", ("requests/sec",)),
        output_tokens_per_s=maybe_above_zero(tokens, "avg", "tokens/s") if tokens else None,
        ttft=_latency(record, "time_to_first_token"),
        tpot=_latency(record, "inter_token_latency"),
        end_to_end=_latency(record, "request_latency"),
        completed=completed,
        failed=_failed(record, completed),
        duration_s=_duration_s(record),
        source=f"{NAME} {version} {record.text('start_time')}".strip(),
        date=day(record, "start_time"),
        remarks=_warm_up(record),
        doubts=("the run was cancelled",) if record.values.get("was_cancelled") is True else (),
    )


def _stated(record: Record, name: str, units: Sequence[str]) -> Record | None:
    """A figure with its unit; None where absent. Raises InputError in another unit."""
    stated = maybe_inner(record, name)
    if stated is not None and stated.text("unit") not in units:
        raise stated.error("unit", f"one of {', '.join(units)}", AGAIN)
    return stated


def _mean(record: Record, name: str, units: Sequence[str]) -> float:
    stated = _stated(record, name, units)
    if stated is None:
        raise record.error(name, f"an object with unit and avg [{units[0]}]", AGAIN)
    return above_zero(stated, "avg", units[0])


def _latency(record: Record, name: str) -> Latency | None:
    stated = _stated(record, name, list(UNITS_PER_SECOND))
    if stated is None:
        return None
    unit = stated.text("unit")
    return latency(stated, "avg", "p{}", unit, UNITS_PER_SECOND[unit])


def _duration_s(record: Record) -> float | None:
    stated = _stated(record, "benchmark_duration", list(UNITS_PER_SECOND))
    seconds = stated and maybe_above_zero(stated, "avg", "s")
    return seconds / UNITS_PER_SECOND[stated.text("unit")] if stated and seconds else None


def _failed(record: Record, completed: int) -> int | None:
    """Requests that failed, by count or by share of all."""
    stated = _stated(record, "error_request_count", ("requests",))
    if stated is not None:
        return round(maybe_above_zero(stated, "avg", "requests") or 0.0)
    share = _stated(record, "request_error_rate", ("%",))
    if share is None:
        return None
    failed = (maybe_above_zero(share, "avg", "%") or 0.0) / 100
    if failed >= 1:
        raise share.error("avg", "a share below 100 %", AGAIN)
    return round(completed * failed / (1 - failed))


def _phases(record: Record) -> list[Record]:
    configured = maybe_inner(record, "input_config")
    return items(configured, "phases") if configured and configured.values.get("phases") else []


def _load(record: Record) -> StatedLoad:
    """How requests came, of the phase that was measured; versions before phases name both figures side by side."""
    measured = [phase for phase in _phases(record) if phase.text("kind", MEASURED) == MEASURED]
    if len(measured) == 1:
        phase = measured[0]
        concurrency = maybe_above_zero(phase, "concurrency", "requests")
        if phase.text("type") in PACED:
            rate = maybe_above_zero(phase, "rate", "req/s")
            return StatedLoad(rate is not None, concurrency, rate)
        return StatedLoad(phase.text("type") == "concurrency" and concurrency is not None, concurrency)
    options = maybe_inner(record, "input_config", "loadgen")
    if measured or options is None:
        return StatedLoad()
    concurrency = maybe_above_zero(options, "concurrency", "requests")
    rate = maybe_above_zero(options, "request_rate", "req/s")
    return StatedLoad(concurrency is not None or rate is not None, concurrency, rate)


def _warm_up(record: Record) -> tuple[str, ...]:
    others = [phase for phase in _phases(record) if phase.text("kind", MEASURED) != MEASURED]
    return tuple(f"phase {phase.text('name')!r} ({phase.text('kind')}) left out by {NAME}" for phase in others)


def _served_name(record: Record) -> str | None:
    """The one model that was asked; None of several."""
    models = maybe_inner(record, "input_config", "models")
    named = items(models, "items") if models and models.values.get("items") else []
    return maybe_text(named[0], "name") if len(named) == 1 else None


# -- records of single requests ---------------------------------------------------------------


def read_records(records: Sequence[Record], path: str) -> LoadPoint:
    """Load point of the records of a run, one a request.

    Notes           Requests of warm-up phases are left out. The records do not say how requests came, nor which model
                    was asked.
    """
    measured = [each for each in records if _kind(each) == MEASURED]
    answers = [each for each in measured if each.values.get("error") is None]
    if not answers:
        raise InputError(f"{path}: no request that was answered", expected="at least one", remedy=AGAIN)
    starts, ends = (_times_s(answers, name) for name in ("request_start_ns", "request_end_ns"))
    duration_s = float(ends.max() - starts.min())
    if duration_s <= 0:
        raise InputError(f"{path}: requests over {duration_s:g} s", expected="ends after starts", remedy=AGAIN)
    inputs, outputs = (_values(answers, name, "tokens") for name in ("input_sequence_length", "output_sequence_length"))
    if len(inputs) < len(answers) or len(outputs) < len(answers):
        raise InputError(f"{path}: requests without lengths", expected="input and output_sequence_length of each")
    warm_up = len(records) - len(measured)
    return LoadPoint(
        place=path,
        file_format=RECORDS,
        tool=NAME,
        input_tokens=float(inputs.mean()),
        output_tokens=float(outputs.mean()),
        load=StatedLoad(),
        rate_req_per_s=len(answers) / duration_s,
        output_tokens_per_s=float(outputs.sum()) / duration_s,
        ttft=_spread(answers, "time_to_first_token"),
        tpot=_spread(answers, "inter_token_latency"),
        end_to_end=_spread(answers, "request_latency"),
        completed=len(answers),
        failed=len(measured) - len(answers),
        duration_s=duration_s,
        source=NAME,
        date=_day(answers),
        remarks=(f"{warm_up} requests of the warm-up left out",) if warm_up else (),
    )


def _day(answers: Sequence[Record]) -> str:
    """Day of the first request."""
    first = min(inner(record, "metadata").number("request_start_ns", "nanoseconds") for record in answers)
    return day(Record("", {"start": first / NS_PER_S}), "start")


def _kind(record: Record) -> str:
    metadata = inner(record, "metadata")
    return metadata.text("phase_kind") or metadata.text("benchmark_phase", MEASURED)


def _times_s(records: Sequence[Record], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Points in time [s]; from the first of the list on, so that nanoseconds since 1970 lose no digit."""
    nanoseconds = []
    for record in records:
        metadata = inner(record, "metadata")
        value = metadata.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LATEST_NS:
            raise metadata.error(name, "a whole number of nanoseconds", AGAIN)
        nanoseconds.append(value)
    origin = inner(records[0], "metadata").values["request_start_ns"]
    assert isinstance(origin, int)
    return np.array([(value - origin) / NS_PER_S for value in nanoseconds])


def _values(records: Sequence[Record], name: str, *units: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Values of those requests that have one, latencies in seconds."""
    found = []
    for record in records:
        stated = maybe_inner(record, "metrics", name)
        if stated is None:
            continue
        unit = stated.text("unit")
        if unit not in units:
            raise stated.error("unit", f"one of {', '.join(units)}", AGAIN)
        value = stated.number("value", range_text(unit))
        if value:
            figure(stated, "value", unit, remedy=AGAIN)
        found.append(value / UNITS_PER_SECOND.get(unit, 1.0))
    return np.array(found)


def _spread(records: Sequence[Record], name: str) -> Latency | None:
    values = _values(records, name, *UNITS_PER_SECOND)
    if not len(values) or values.mean() <= 0:
        return None
    return Latency(float(values.mean()), {each: float(np.percentile(values, each)) for each in PERCENTILES})
