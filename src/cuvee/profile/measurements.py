"""Measured points of any origin, as their authors wrote them: names are looked up when they are compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cuvee.catalog.records import Record
from cuvee.catalog.tables import parse_csv
from cuvee.errors import InputError
from cuvee.files import read_text
from cuvee.profile.figures import RATE_REQ_PER_S, figure, range_text

MAX_FILE_MB = 64.0
MAX_COUNT = 1_000_000
REQUIRED = ("gpu", "model", "isl", "osl")
MEASURED = ("req_s", "out_tok_s", "ttft_ms", "tpot_ms")
COLUMNS = (
    "columns gpu, model, isl, osl and at least one of req_s, out_tok_s, ttft_ms, tpot_ms; where known also id, group, "
    "num_gpus, tp, pp, replicas, weights, kv, engine, engine_version, concurrency, request_rate, doubtful, note, "
    "source, date"
)


@dataclass(frozen=True)
class Measurement:
    """One measured point: a deployment of one model, one kind of requests, and what was seen.

    Attributes
        place                     Where it stands, e.g. "points.csv:7".
        id                        What the file calls it; its place where it says nothing.
        group                     Rows that belong together; engine and version where the file says nothing.
        gpu, model, engine, engine_version, weights, kv    As written.
        num_gpus                  Of the whole deployment [-]; None where not stated.
        tensor_parallel_size, pipeline_parallel_size, replicas    Of each replica, and how many there were [-].
        input_tokens, output_tokens    Mean lengths [tokens].
        concurrency               Requests held under way by the load generator [-]; None where it did not limit them.
        request_rate_req_per_s    Rate of arrivals, below saturation [req/s]; None where all came at once.
        rate_req_per_s            Rate served by the whole deployment [req/s]; None where not measured.
        ttft_s, tpot_s            Mean latencies [s]; None where not measured.
        is_doubtful               Whether the file itself doubts it.
        date                      Of the measurement; "" where the file does not say.
    """

    place: str
    id: str
    group: str
    gpu: str
    model: str
    engine: str
    engine_version: str
    weights: str
    kv: str
    num_gpus: int | None
    tensor_parallel_size: int
    pipeline_parallel_size: int
    replicas: int
    input_tokens: float
    output_tokens: float
    concurrency: float | None
    request_rate_req_per_s: float | None
    rate_req_per_s: float | None
    ttft_s: float | None
    tpot_s: float | None
    is_doubtful: bool
    note: str
    source: str
    date: str = ""

    @property
    def workload(self) -> str:
        """Mean lengths as one text, e.g. "1000/1000"."""
        return f"{self.input_tokens:g}/{self.output_tokens:g}"

    @property
    def deployment(self) -> str:
        """What served, as one text, e.g. "2 x TP4 H100-SXM-80G"."""
        depth = f" PP{self.pipeline_parallel_size}" if self.pipeline_parallel_size > 1 else ""
        count = f"{self.replicas} x " if self.replicas > 1 else ""
        return f"{count}TP{self.tensor_parallel_size}{depth} {self.gpu}"


def load_measurements(path: str | Path) -> tuple[Measurement, ...]:
    """Measured points of a CSV, plain or gzip.

    Raises      InputError: no such columns, no rows, or a cell that is not what its column holds; with its place.
    """
    text = read_text(path, max_mb=MAX_FILE_MB)
    if text.lstrip().startswith(("{", "[")):
        raise InputError(
            f"{path}: JSON, not a table",
            expected=f"CSV with {COLUMNS}",
            remedy=f"make a table of it: cuvee import {path} --save points.csv",
        )
    columns, records = parse_csv(text, str(path))
    missing = [column for column in REQUIRED if column not in columns]
    if missing or not set(MEASURED) & set(columns):
        lacking = missing[0] if missing else "req_s"
        shown = ", ".join(columns)[:200]
        raise InputError(
            f"{path}:1: no column {lacking!r} among {shown}", expected=COLUMNS, remedy="add or rename the column"
        )
    found = tuple(_measurement(record) for record in records)
    if not found:
        raise InputError(f"{path}: no rows", expected="at least one measured point", remedy=f"give {COLUMNS}")
    return found


def require_at_most(most: int, points: Sequence[Measurement]) -> None:
    """Raise InputError where there are more than `most` points [-]."""
    if len(points) > most:
        raise InputError(
            f"{len(points):,} measured points",
            expected=f"at most {most:,} at once",
            remedy="split the table, or leave points out: repeated ones say little more",
        )


def _measurement(record: Record) -> Measurement:
    engine, version = record.text("engine"), record.text("engine_version")
    output_tokens = figure(record, "osl", "tokens")
    rate = _optional(record, "req_s", "req/s")
    tokens = _optional(record, "out_tok_s", "tokens/s")
    if rate is None and tokens is not None:
        rate = tokens / output_tokens
    ttft_ms, tpot_ms = (_optional(record, field, "ms") for field in ("ttft_ms", "tpot_ms"))
    if rate is not None and not RATE_REQ_PER_S[0] <= rate <= RATE_REQ_PER_S[1]:
        raise record.error("out_tok_s", f"{range_text('req/s')}, which is out_tok_s / osl")
    if rate is None and ttft_ms is None and tpot_ms is None:
        raise InputError(
            f"{record.place}: nothing measured",
            expected=f"at least one of {', '.join(MEASURED)}",
            remedy="fill one in, or remove the row",
        )
    counted = {name: record.count(name, default=1, high=MAX_COUNT) for name in ("tp", "pp", "replicas")}
    return Measurement(
        place=record.place,
        id=record.text("id", record.place),
        group=record.text("group", " ".join(filter(None, (engine, version))) or "all"),
        gpu=_named(record, "gpu"),
        model=_named(record, "model"),
        engine=engine,
        engine_version=version,
        weights=record.text("weights"),
        kv=record.text("kv"),
        num_gpus=None if record.is_empty("num_gpus") else record.count("num_gpus", default=1, high=MAX_COUNT),
        tensor_parallel_size=counted["tp"],
        pipeline_parallel_size=counted["pp"],
        replicas=counted["replicas"],
        input_tokens=figure(record, "isl", "tokens"),
        output_tokens=output_tokens,
        concurrency=_unlimited(record, "concurrency", "requests"),
        request_rate_req_per_s=_unlimited(record, "request_rate", "req/s"),
        rate_req_per_s=rate,
        ttft_s=None if ttft_ms is None else ttft_ms / 1e3,
        tpot_s=None if tpot_ms is None else tpot_ms / 1e3,
        is_doubtful=not record.is_empty("doubtful") and record.flag("doubtful"),
        note=record.text("note"),
        source=record.text("source"),
        date=record.date("date"),
    )


def _named(record: Record, field: str) -> str:
    name = record.text(field)
    if not name:
        raise record.error(field, "a name")
    return name


def _optional(record: Record, field: str, unit: str) -> float | None:
    return None if record.is_empty(field) else figure(record, field, unit)


def _unlimited(record: Record, field: str, unit: str) -> float | None:
    """A number, or None where the load generator says "inf"."""
    return None if record.text(field).lower() in ("inf", "infinity") else _optional(record, field, unit)
