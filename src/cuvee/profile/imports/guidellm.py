"""Results of GuideLLM: a list of benchmarks, each a load point."""

from typing import Any

from cuvee.catalog.records import Record
from cuvee.profile.imports.fields import (
    above_zero,
    answered,
    day,
    inner,
    items,
    latency,
    maybe_above_zero,
    maybe_count,
    maybe_inner,
    maybe_text,
)
from cuvee.profile.imports.load_point import Latency, LoadPoint, StatedLoad

NAME = "GuideLLM"
PACED = ("constant", "poisson")


def is_guidellm(content: dict[str, Any]) -> bool:
    """Whether an object is such a file."""
    metadata = content.get("metadata")
    return "benchmarks" in content and isinstance(metadata, dict) and "guidellm_version" in metadata


def read_guidellm(record: Record) -> list[LoadPoint]:
    """Load points of a file.

    Notes           TPOT is its inter-token latency, which leaves out the first token: what it calls time per output
                    token spreads the whole request over them. Its requests per second count the gaps between
                    requests, one fewer than there are, so the rate is requests over duration.
    """
    version = inner(record, "metadata").text("guidellm_version")
    return [_benchmark(each, version) for each in items(record, "benchmarks")]


def _benchmark(record: Record, version: str) -> LoadPoint:
    metrics = inner(record, "metrics")
    totals = inner(metrics, "request_totals")
    completed, duration_s = answered(totals, "successful"), above_zero(record, "duration", "s")
    tokens = maybe_inner(metrics, "output_tokens_per_second", "successful")
    return LoadPoint(
        place=record.place,
        file_format=NAME,
        tool=f"{NAME} {version}",
        input_tokens=above_zero(inner(metrics, "prompt_token_count", "successful"), "mean", "tokens"),
        output_tokens=above_zero(inner(metrics, "output_token_count", "successful"), "mean", "tokens"),
        load=_load(inner(record, "config", "strategy")),
        served_name=_served_name(record),
        rate_req_per_s=completed / duration_s,
        output_tokens_per_s=maybe_above_zero(tokens, "mean", "tokens/s") if tokens else None,
        ttft=_latency(metrics, "time_to_first_token_ms", "ms", 1e3),
        tpot=_latency(metrics, "inter_token_latency_ms", "ms", 1e3),
        end_to_end=_latency(metrics, "request_latency", "s", 1.0),
        completed=completed,
        failed=maybe_count(totals, "errored"),
        duration_s=duration_s,
        source=f"{NAME} {version}",
        date=day(record, "start_time"),
        remarks=tuple(_remarks(record, totals)),
    )


def _load(strategy: Record) -> StatedLoad:
    kind = strategy.text("type_")
    if kind in PACED:
        return StatedLoad(True, request_rate_req_per_s=above_zero(strategy, "rate", "req/s"))
    if kind == "synchronous":
        return StatedLoad(True, 1.0)
    if kind == "concurrent":
        return StatedLoad(True, above_zero(strategy, "streams", "requests"))
    if kind == "throughput":
        return StatedLoad(True, maybe_above_zero(strategy, "max_concurrency", "requests"))
    return StatedLoad()


def _served_name(record: Record) -> str | None:
    backend = maybe_inner(record, "config", "backend")
    return maybe_text(backend, "model") if backend else None


def _latency(metrics: Record, name: str, unit: str, per_second: float) -> Latency | None:
    stated = maybe_inner(metrics, name, "successful")
    if stated is None:
        return None
    percentiles = maybe_inner(stated, "percentiles")
    flat = Record(stated.place, {**(percentiles.values if percentiles else {}), "mean": stated.values.get("mean")})
    return latency(flat, "mean", "p{}", unit, per_second)


def _remarks(record: Record, totals: Record) -> list[str]:
    found = [
        f"{seconds:.3g} s of {name} left out by {NAME}"
        for name in ("warmup", "cooldown")
        if (seconds := maybe_above_zero(record, f"{name}_duration", "s"))
    ]
    if incomplete := maybe_count(totals, "incomplete"):
        found.append(f"{incomplete} requests were cut off by the end of the run")
    warnings = record.values.get("warnings")
    if warnings:
        found += [f"{NAME} warns: {each.text('message')}" for each in items(record, "warnings")]
    return found
