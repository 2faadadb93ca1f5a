"""Results of `vllm bench serve`: one object a run, or one a line where runs were appended."""

from typing import Any

from cuvee.catalog.records import Record
from cuvee.profile.imports.fields import (
    above_zero,
    answered,
    day,
    deployment_of,
    latency,
    maybe_above_zero,
    maybe_count,
)
from cuvee.profile.imports.load_point import LoadPoint, StatedLoad

NAME = "vLLM bench"
TOOL = "vllm bench serve"
TELLING = ("request_throughput", "completed", "duration", "total_output_tokens")
"""Fields that no other format has side by side at the top."""

TOTAL_TOKENS = (1.0, 1e15)
"""Of all requests of a run [tokens]."""


def is_vllm(content: dict[str, Any]) -> bool:
    """Whether an object is such a run."""
    return all(name in content for name in TELLING) and not isinstance(content["request_throughput"], dict)


def read_vllm(record: Record) -> LoadPoint:
    """Load point of one run.

    Notes           Lengths are means over the requests that were answered. What `--metadata` adds (gpu, tp, pp,
                    replicas, engine, engine_version, weights, kv) is taken as stated.
    """
    completed = answered(record, "completed")
    date = record.text("date")
    return LoadPoint(
        place=record.place,
        file_format=NAME,
        tool=TOOL,
        input_tokens=above_zero(record, "total_input_tokens", "tokens", TOTAL_TOKENS) / completed,
        output_tokens=above_zero(record, "total_output_tokens", "tokens", TOTAL_TOKENS) / completed,
        load=_load(record),
        deployment=deployment_of(record),
        served_name=record.text("model_id") or None,
        rate_req_per_s=above_zero(record, "request_throughput", "req/s"),
        output_tokens_per_s=maybe_above_zero(record, "output_throughput", "tokens/s"),
        ttft=latency(record, "mean_ttft_ms", "p{}_ttft_ms", "ms"),
        tpot=latency(record, "mean_tpot_ms", "p{}_tpot_ms", "ms"),
        end_to_end=latency(record, "mean_e2el_ms", "p{}_e2el_ms", "ms"),
        completed=completed,
        failed=_failed(record, completed),
        duration_s=above_zero(record, "duration", "s"),
        source=" ".join(filter(None, (TOOL, date))),
        date=day(record, "date"),
    )


def _load(record: Record) -> StatedLoad:
    concurrency = maybe_above_zero(record, "max_concurrency", "requests")
    if record.text("request_rate").lower() in ("inf", "infinity"):
        return StatedLoad(True, concurrency)
    rate = maybe_above_zero(record, "request_rate", "req/s")
    return StatedLoad(rate is not None or concurrency is not None, concurrency, rate)


def _failed(record: Record, completed: int) -> int | None:
    """Requests that failed; older versions state only how many were sent."""
    if (failed := maybe_count(record, "failed")) is not None:
        return failed
    sent = maybe_count(record, "num_prompts")
    return None if sent is None else max(sent - completed, 0)
