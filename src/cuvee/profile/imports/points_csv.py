"""A plain CSV of measured points: the columns of `cuvee.profile.measurements`, and more where known."""

from cuvee.catalog.records import Record
from cuvee.profile.imports.fields import above_zero, deployment_of, latency, maybe_above_zero, maybe_count
from cuvee.profile.imports.load_point import LoadPoint, StatedLoad
from cuvee.profile.measurements import MEASURED

NAME = "CSV"
LENGTHS = ("isl", "osl")


def is_points(columns: tuple[str, ...]) -> bool:
    """Whether a header is that of such a table."""
    return set(LENGTHS) <= set(columns) and bool(set(MEASURED) & set(columns))


def read_points(record: Record) -> LoadPoint:
    """Load point of one row; latencies are means in milliseconds, percentiles stand in columns such as ttft_p99_ms."""
    return LoadPoint(
        place=record.place,
        file_format=NAME,
        input_tokens=above_zero(record, "isl", "tokens"),
        output_tokens=above_zero(record, "osl", "tokens"),
        load=StatedLoad(
            is_known=True,
            concurrency=_unless_infinite(record, "concurrency", "requests"),
            request_rate_req_per_s=_unless_infinite(record, "request_rate", "req/s"),
        ),
        deployment=deployment_of(record),
        rate_req_per_s=maybe_above_zero(record, "req_s", "req/s"),
        output_tokens_per_s=maybe_above_zero(record, "out_tok_s", "tokens/s"),
        ttft=latency(record, "ttft_ms", "ttft_p{}_ms", "ms"),
        tpot=latency(record, "tpot_ms", "tpot_p{}_ms", "ms"),
        end_to_end=latency(record, "e2e_ms", "e2e_p{}_ms", "ms"),
        inter_token=latency(record, "itl_ms", "itl_p{}_ms", "ms"),
        completed=maybe_count(record, "completed"),
        failed=maybe_count(record, "failed"),
        warm_up_completed=maybe_count(record, "warm_up_completed"),
        duration_s=maybe_above_zero(record, "duration_s", "s"),
        num_gpus=maybe_count(record, "num_gpus"),
        id=record.text("id"),
        group=record.text("group"),
        note=record.text("note"),
        source=record.text("source"),
        date=record.date("date"),
        relative_error=maybe_above_zero(record, "relative_error", "a share"),
        is_saturated=None if record.is_empty("saturated") else record.flag("saturated"),
        is_doubtful=record.text("doubtful").lower() in ("true", "yes", "1"),
    )


def _unless_infinite(record: Record, name: str, unit: str) -> float | None:
    return None if record.text(name).lower() == "inf" else maybe_above_zero(record, name, unit)
