"""Benchmark Reports of llm-d, versions 0.2 and 0.2.1: one load point a file, with the stack that served it.

Source      llm-d-benchmark, benchmark-report/, package llmd-benchmark-report 0.2.1, read 2026-11.
"""

from collections.abc import Mapping
from typing import Any

from cuvee.catalog.records import Record
from cuvee.errors import InputError, UnknownNameError
from cuvee.profile.engine import find_engine
from cuvee.profile.imports.fields import (
    AGAIN,
    MAX_COUNT,
    above_zero,
    day,
    inner,
    items,
    latency,
    maybe_above_zero,
    maybe_count,
    maybe_inner,
    maybe_text,
)
from cuvee.profile.imports.load_point import Deployment, Latency, LoadPoint, StatedLoad
from cuvee.profile.table import Provenance

NAME = "llm-d report"
VERSIONS = ("0.2", "0.2.1")
OURS = "cuvee"
"""Where a report that we wrote keeps, under `scenario.load.native.config`, what the schema has no field for."""

UNKNOWN = "unknown"
"""What stands in required names that nobody knows."""

TIME = {"s": 1.0, "ms": 1e3}
TIME_PER_TOKEN = {"s/token": 1.0, "ms/token": 1e3}
REQUESTS = {"queries/s": 1.0}
TOKENS = {"tokens/s": 1.0}
COUNT = {"count": 1.0}


def is_report(content: Mapping[str, Any]) -> bool:
    """Whether a mapping is such a report, of whatever version."""
    return (
        "version" in content
        and ("results" in content or "metrics" in content)
        and ("run" in content or "scenario" in content)
    )


def read_report(record: Record) -> LoadPoint:
    """Load point of a report.

    Notes           Data-parallel ranks count as replicas. Prefill and decode apart are no replica of ours, and refused.
                    Without a TPOT the inter-token latency stands for it, as in reports made of GuideLLM's results.
    """
    if record.text("version") not in VERSIONS:
        raise record.error(
            "version", f"one of {', '.join(VERSIONS)}", "convert the report, or import the tool's own file"
        )
    aggregate = inner(record, "results", "request_performance", "aggregate")
    requests = maybe_inner(aggregate, "requests")
    load = maybe_inner(record, "scenario", "load", "standardized")
    own = maybe_inner(record, "scenario", "load", "native", "config", OURS) or Record(record.place, {})
    total, failed = (maybe_count(requests, name) if requests else None for name in ("total", "failures"))
    if total is not None and (failed or 0) > total:
        raise InputError(f"{record.place}: {failed} failures of {total} requests", expected="no more than all")
    tool = " ".join(filter(None, (_known(load, name) for name in ("tool", "tool_version")))) if load else ""
    deployment, remarks = _deployment(record, own)
    return LoadPoint(
        place=record.place,
        file_format=NAME,
        tool=tool,
        input_tokens=_length(record, requests, load, "input"),
        output_tokens=_length(record, requests, load, "output"),
        load=_load(load, own),
        deployment=deployment,
        rate_req_per_s=_rate(aggregate, "request_rate", REQUESTS),
        output_tokens_per_s=_rate(aggregate, "output_token_rate", TOKENS),
        ttft=_latency(aggregate, "time_to_first_token", TIME),
        tpot=_latency(aggregate, "time_per_output_token", TIME_PER_TOKEN)
        or _latency(aggregate, "inter_token_latency", TIME_PER_TOKEN),
        end_to_end=_latency(aggregate, "request_latency", TIME),
        completed=None if total is None else total - (failed or 0),
        failed=failed,
        duration_s=_duration_s(record),
        id=own.text("id"),
        group=own.text("group"),
        note=own.text("note"),
        source=own.text("source") or tool,
        date=own.date("date") or _day(record),
        provider=_provider(own),
        relative_error=maybe_above_zero(own, "relative_error", "a share"),
        is_doubtful=own.values.get("doubtful") is True,
        remarks=tuple(remarks),
    )


def _units(stated: Record, units: Mapping[str, float]) -> float:
    """How many of the units of a figure make one of ours [-]."""
    unit = stated.text("units")
    if unit not in units:
        raise stated.error("units", f"one of {', '.join(units)}", AGAIN)
    return units[unit]


def _rate(aggregate: Record, name: str, units: Mapping[str, float]) -> float | None:
    stated = maybe_inner(aggregate, "throughput", name)
    if stated is None:
        return None
    per = _units(stated, units)
    value = maybe_above_zero(stated, "mean", stated.text("units"))
    return None if value is None else value / per


def _latency(aggregate: Record, name: str, units: Mapping[str, float]) -> Latency | None:
    stated = maybe_inner(aggregate, "latency", name)
    if stated is None:
        return None
    return latency(stated, "mean", "p{}", stated.text("units"), _units(stated, units))


def _length(record: Record, requests: Record | None, load: Record | None, side: str) -> float:
    """Mean length as seen, or as the load generator was told [tokens]."""
    seen = maybe_inner(requests, f"{side}_length") if requests else None
    if seen is not None:
        return above_zero(seen, "mean", "tokens") / _units(seen, COUNT)
    told = maybe_inner(load, f"{side}_seq_len") if load else None
    if told is not None:
        return above_zero(told, "value", "tokens")
    raise InputError(
        f"{record.place}: no length of {side}s",
        expected=f"results.request_performance.aggregate.requests.{side}_length",
        remedy=AGAIN,
    )


def _load(load: Record | None, own: Record) -> StatedLoad:
    if load is None:
        return StatedLoad()
    rate = maybe_above_zero(load, "rate_qps", "req/s")
    exact = maybe_above_zero(own, "concurrency", "requests")
    if load.values.get("concurrency") == float("inf") or load.text("concurrency").lower() in ("inf", ".inf"):
        return StatedLoad(True, None, rate)
    concurrency = exact or maybe_above_zero(load, "concurrency", "requests")
    return StatedLoad(rate is not None or concurrency is not None, concurrency, rate)


def _day(record: Record) -> str:
    time = maybe_inner(record, "run", "time")
    return day(time, "start") if time else ""


def _provider(own: Record) -> Provenance:
    """Who gives the figures of a report that we wrote."""
    text = own.text("provider", Provenance.MEASURED)
    if text not in set(Provenance):
        raise own.error("provider", f"one of {', '.join(Provenance)}", AGAIN)
    return Provenance(text)


def _duration_s(record: Record) -> float | None:
    """Of an ISO 8601 duration in seconds, which is what the harnesses write, such as "PT49.97S"."""
    time = maybe_inner(record, "run", "time")
    text = time.text("duration").upper() if time else ""
    if not (text.startswith("PT") and text.endswith("S")):
        return None
    try:
        seconds = float(text[2:-1])
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None


def _deployment(record: Record, own: Record) -> tuple[Deployment, list[str]]:
    scenario = maybe_inner(record, "scenario")
    stack = items(scenario, "stack") if scenario and scenario.values.get("stack") else []
    engines = [
        each for each in (inner(part, "standardized") for part in stack) if each.text("kind") == "inference_engine"
    ]
    if not engines:
        return Deployment(weights=maybe_text(own, "weights"), kv=maybe_text(own, "kv")), []
    roles = {each.text("role") for each in engines}
    if len(engines) > 1 or "prefill" in roles:
        raise InputError(
            f"{record.place}: {len(engines)} engines ({', '.join(sorted(roles))})",
            expected="one engine, of which all replicas are alike",
            remedy="leave the report out: a point stands for replicas that do both prefill and decode",
        )
    return _engine(engines[0], own)


def _engine(engine: Record, own: Record) -> tuple[Deployment, list[str]]:
    accelerator = inner(engine, "accelerator")
    parallel = maybe_inner(accelerator, "parallelism") or Record(accelerator.place, {})
    tp, pp, dp = (parallel.count(name, default=1, high=MAX_COUNT) for name in ("tp", "pp", "dp"))
    replicas = engine.count("replicas", default=1, high=MAX_COUNT) * dp
    count = maybe_count(accelerator, "count")
    remarks = []
    if count is not None and count not in (tp * pp, tp * pp * dp, tp * pp * replicas):
        remarks.append(f"{count} accelerators are counted, but {replicas} replicas of TP{tp} PP{pp} stated")
    name, version = _known(engine, "tool"), _known(engine, "tool_version")
    if name is not None and not _is_engine(name):
        remarks.append(f"engine {name} {version or ''}: not one that cuvee knows; name it with --engine")
        name = version = None
    deployment = Deployment(
        gpu=_known(accelerator, "model"),
        model=_known(inner(engine, "model"), "name"),
        engine=name,
        engine_version=version,
        tp=tp,
        pp=pp,
        replicas=replicas,
        weights=maybe_text(own, "weights"),
        kv=maybe_text(own, "kv"),
    )
    return deployment, remarks


def _known(record: Record, name: str) -> str | None:
    text = maybe_text(record, name)
    return None if text == UNKNOWN else text


def _is_engine(name: str) -> bool:
    try:
        find_engine(name)
    except UnknownNameError:
        return False
    return True
