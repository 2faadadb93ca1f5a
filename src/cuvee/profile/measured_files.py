"""Reading throughput tables: our own columns as CSV or JSON, and those of public benchmark collections."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from cuvee.catalog.gpus import find_gpu
from cuvee.catalog.model import KV_BYTES, WEIGHT_BYTES
from cuvee.catalog.models import load_model, released_precision
from cuvee.catalog.quantization import written_precision
from cuvee.catalog.records import Record
from cuvee.catalog.tables import parse_csv
from cuvee.errors import InputError, UnknownNameError
from cuvee.files import read_text
from cuvee.profile.engine import engine_of_version, is_version
from cuvee.profile.figures import figure, range_text
from cuvee.profile.imports.hardware_bounds import Hardware, impossible_rate
from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.measured import LENGTH_TOLERANCE, MeasuredRate, StageKey, TableProvider, model_key
from cuvee.profile.points import CACHE_PRECISION
from cuvee.profile.table import Provenance
from cuvee.units import plural

MAX_FILE_MB = 64.0

MEASURED_ERROR = 0.05
"""Error band of a measured line that states none [-]: the rate moves about as much as the lengths may differ. A line
that nobody measured has no band unless it states one."""

OWN_REQUIRED = ("model", "input_tokens", "output_tokens", "rate_req_per_s")
PUBLIC_REQUIRED = ("model", "gpu", "tp", "isl", "osl", "req_s")
OWN_FORMAT = (
    "columns model, gpu, tensor_parallel_size, input_tokens, output_tokens, rate_req_per_s; "
    'or stages such as "A40:TP2x20|L40:TP1x60" in place of gpu and tensor_parallel_size'
)
IMPOSSIBLE = "above what the data sheet allows"
DOUBTFUL = "marked doubtful"
OPEN_LOOP = "open loop: its rate is the load offered, not what the replica sustains"
UNSATURATED = "not shown to be saturated: the replica may sustain more"
OTHER_ENGINE = "name the engine they were measured on with --engine"
REMEDIES = {
    IMPOSSIBLE: "see whether GPU, model and precision are what was measured",
    DOUBTFUL: "measure again what `note` names in such rows",
    OPEN_LOOP: "measure with requests held under way, as cuvee profile does first",
    UNSATURATED: "measure with more requests under way: cuvee profile goes on with a higher --max-concurrency",
}
"""What to do about rows that were left out, by the reason; `OTHER_ENGINE` for all others."""

STAGE = re.compile(r"(?P<gpu>[^:|]+):TP(?P<size>[0-9]{1,4})x(?P<layers>[0-9]{1,4})", re.IGNORECASE)


@dataclass
class _Reading:
    """Lines read so far, and why others were left out."""

    rates: list[MeasuredRate] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def leave_out(self, reason: str, example: str = "") -> None:
        """Count a row that is not used; of the first for that reason, the example is told."""
        self.left_out[reason] += 1
        self.examples.setdefault(reason, f" ({example})" if example else "")

    def notes(self) -> tuple[str, ...]:
        return tuple(
            f"{plural(count, 'row')} left out: {reason}{self.examples[reason]}"
            for reason, count in self.left_out.items()
        )


def load_throughput_table(
    path: str | Path,
    *,
    engine: str | None = None,
    length_tolerance: float = LENGTH_TOLERANCE,
    text: str | None = None,
) -> TableProvider:
    """Throughput table of a CSV or JSON file, plain or gzip.

    Parameters
        path                Our own columns (docs/throughput-model.md), or those of a public collection
                            (gpu, tp, pp, model, weights, kv, isl, osl, req_s, replicas).
        engine              Where given, rows of another engine, or of a version with other settings, are left out;
                            e.g. "vllm-0.11".
        length_tolerance    Widest gap to a row's mean lengths at which a workload is the same one [-].
        text                Of the file, where it was read already.
    Returns                 the provider; its notes count the rows that were left out and say why.
    Raises                  InputError: a file that cannot be used, with line and column.
    Notes                   Rates above what the data sheet allows of an embedded model are left out too.
    """
    records = _records(read_text(path, max_mb=MAX_FILE_MB) if text is None else text, str(path))
    first = records[0]
    is_public = "req_s" in first.values or ("isl" in first.values and "rate_req_per_s" not in first.values)
    _require_columns(first, PUBLIC_REQUIRED if is_public else OWN_REQUIRED)
    reader: Callable[[Record], MeasuredRate] = _read_public if is_public else _read_own
    reading = _Reading()
    for record in records:
        reason = _reason_to_skip(record, engine) if is_public else _other_engine(record, engine)
        if reason:
            reading.leave_out(reason)
            continue
        rate = reader(record)
        broken = _above_hardware(rate)
        if broken:
            reading.leave_out(IMPOSSIBLE, f"{record.place}: {broken}")
        else:
            reading.rates.append(rate)
    if not reading.rates:
        raise InputError(
            f"{path}: no usable row; {'; '.join(reading.notes())}",
            expected="at least one row to plan with",
            remedy="; ".join(dict.fromkeys(REMEDIES.get(reason, OTHER_ENGINE) for reason in reading.left_out)),
        )
    return TableProvider(tuple(reading.rates), length_tolerance, str(path), reading.notes())


# -- files ------------------------------------------------------------------------------------


def _records(text: str, path: str) -> list[Record]:
    is_json = text.lstrip().startswith(("[", "{"))
    records = _json_records(text, path) if is_json else list(parse_csv(text, path)[1])
    if not records:
        raise InputError(f"{path}: no rows", expected="at least one row of rates", remedy=f"give {OWN_FORMAT}")
    return records


def _json_records(text: str, path: str) -> list[Record]:
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}:{error.colno}: not JSON ({error.msg.lower()})",
            expected="a list of objects, or CSV",
            remedy="check the file at that place",
        ) from None
    except (RecursionError, ValueError):
        raise InputError(f"{path}: not usable JSON (too deep, or too long a number)", expected="a list") from None
    if not isinstance(items, list):
        raise InputError(f"{path}: no list", expected="a JSON list of objects", remedy="put the rows in [ ... ]")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise InputError(f"{path}[{index}]: no object", expected="an object with named fields")
    return [Record(f"{path}[{index}]", item) for index, item in enumerate(items)]


def _require_columns(record: Record, required: Iterable[str]) -> None:
    missing = [column for column in required if column not in record.values]
    if not missing and ("gpu" in record.values or "stages" in record.values):
        return
    shown = ", ".join(map(str, record.values))[:200]
    raise InputError(
        f"{record.place}: no column {(missing or ['gpu'])[0]!r} among {shown}",
        expected=OWN_FORMAT,
        remedy="add or rename the column",
    )


# -- rows -------------------------------------------------------------------------------------


def _read_own(record: Record) -> MeasuredRate:
    stages, layers = _stages(record)
    provenance = _provenance(record)
    return MeasuredRate(
        model=_model(record),
        stages=stages,
        layers=layers,
        precision=_weight_precision(record, "precision"),
        kv_precision=_precision(record, "kv_precision", KV_BYTES, CACHE_PRECISION),
        spans_machines=None if record.is_empty("spans_machines") else record.flag("spans_machines"),
        input_tokens=figure(record, "input_tokens", "tokens"),
        output_tokens=figure(record, "output_tokens", "tokens"),
        rate_req_per_s=figure(record, "rate_req_per_s", "req/s"),
        relative_error=_share(record, "relative_error", MEASURED_ERROR if provenance is Provenance.MEASURED else inf),
        ttft_s=_zero_or(record, "ttft_s", "s"),
        tpot_s=_zero_or(record, "tpot_s", "s"),
        provenance=provenance,
        source=record.text("source"),
        date=record.date("date"),
        engine=_engine(record),
    )


def _read_public(record: Record) -> MeasuredRate:
    """Row of a public collection: rates are totals over its replicas, latencies are in milliseconds."""
    depth, replicas, held = record.count("pp", default=1), record.count("replicas", default=1), _held(record)
    # An interval of the rate says nothing of other lengths, and one number under way nothing of more.
    band = max(_share(record, "relative_error", MEASURED_ERROR), MEASURED_ERROR) if held is None else inf
    stage = (_gpu(record, record.text("gpu")), record.count("tp", default=1))
    return MeasuredRate(
        model=_model(record),
        stages=(stage,) * depth,
        layers=None,
        precision=_weight_precision(record, "weights"),
        kv_precision=_precision(record, "kv", KV_BYTES, CACHE_PRECISION),
        spans_machines=None,
        input_tokens=figure(record, "isl", "tokens"),
        output_tokens=figure(record, "osl", "tokens"),
        rate_req_per_s=figure(record, "req_s", "req/s") / replicas,
        relative_error=band,
        ttft_s=_zero_or(record, "ttft_ms", "ms") / 1e3,
        tpot_s=_zero_or(record, "tpot_ms", "ms") / 1e3,
        source=record.text("source"),
        date=record.date("date"),
        concurrency=None if held is None else held / replicas,
        engine=_engine(record),
    )


def _held(record: Record) -> float | None:
    """Requests held under way over all replicas [-]; None where not limited, or the row says what it shows."""
    is_unlimited = record.text("concurrency").lower() in ("inf", "infinity")
    if record.is_empty("concurrency") or is_unlimited or not record.is_empty("saturated"):
        return None
    return figure(record, "concurrency", "requests")


def _reason_to_skip(record: Record, engine: str | None) -> str:
    """Why a row of a public collection is not to be used; empty where it is."""
    if record.text("doubtful").lower() in ("true", "yes", "1"):
        return DOUBTFUL
    if not record.is_empty("request_rate"):
        return OPEN_LOOP
    if not record.is_empty("saturated") and not record.flag("saturated"):
        return UNSATURATED
    return _other_engine(record, engine)


def _other_engine(record: Record, engine: str | None) -> str:
    """Why a row was measured on other engine settings than those of `engine`; empty where they are the same.

    Notes       A version takes the settings of the nearest one with figures, as everywhere; a row or a plan that states
                no version goes with any.
    """
    named = record.text("engine")
    if not engine or not named:
        return ""
    (family, in_name), (asked_family, asked) = _engine_parts(named), _engine_parts(engine)
    if family != asked_family:
        return f"measured on {named}"
    version = record.text("engine_version", in_name)
    if not (is_version(version) and is_version(asked)):
        return ""
    try:
        found, wanted = (engine_of_version(family, each).name for each in (version, asked))
    except UnknownNameError:  # settings of the user's own
        return ""
    return "" if found == wanted else f"measured on {family} {version}: other engine settings than {engine}"


def _engine(record: Record) -> str:
    """Engine and version of a row as one name; "" where it does not say."""
    named = record.text("engine")
    if not named:
        return ""
    family, version = _engine_parts(named)
    version = record.text("engine_version", version).lstrip("v")
    return f"{family}-{version}" if version else family


def _engine_parts(name: str) -> tuple[str, str]:
    """Engine and version: "vllm" of both "vllm-0.11" and "vLLM", the latter without a version."""
    text = name.strip().lower()
    family = re.sub(r"[-_ ]?v?\d[\w.]*$", "", text)
    return {"trtllm": "tensorrt-llm", "trt-llm": "tensorrt-llm"}.get(family, family), text[len(family) :].lstrip("-_ ")


def _above_hardware(rate: MeasuredRate) -> str:
    """Why the data sheet does not allow a rate; empty where it does, or where GPUs or models are not all the same."""
    try:
        ((gpu, size),) = set(rate.stages)
        hardware = Hardware(find_gpu(gpu), load_model(rate.model), rate.precision, rate.kv_precision or "fp8")
    except (ValueError, UnknownNameError):
        return ""
    if rate.workload:
        return ""
    lengths, served = (rate.input_tokens, rate.output_tokens), Deployment(tp=size, pp=len(rate.stages))
    return impossible_rate(rate.rate_req_per_s, lengths, served, None, hardware)


# -- fields -----------------------------------------------------------------------------------


def _model(record: Record) -> str:
    name = record.text("model")
    if not name:
        raise record.error("model", "the name of a model")
    return model_key(name)


def _gpu(record: Record, name: str) -> str:
    try:
        return find_gpu(name).name
    except UnknownNameError as error:
        raise InputError(f"{record.place}: {error.arrived}", expected=error.expected, remedy=error.remedy) from None


def _stages(record: Record) -> tuple[tuple[StageKey, ...], tuple[int, ...] | None]:
    """GPU type and size of each stage, and its layers where `stages` gives them."""
    text = record.text("stages")
    if not text:
        if record.is_empty("gpu"):
            raise record.error("gpu", "a GPU type, or stages")
        stage = (_gpu(record, record.text("gpu")), record.count("tensor_parallel_size", default=1))
        return (stage,) * record.count("pipeline_parallel_size", default=1), None
    found = [STAGE.fullmatch(part.strip()) for part in text.split("|")]
    matches = [match for match in found if match and int(match["size"]) and int(match["layers"])]
    if len(matches) < len(found):
        raise record.error("stages", 'GPU:TPsize x layers of each stage, such as "A40:TP2x20|L40:TP1x60"')
    stages = tuple((_gpu(record, match["gpu"].strip()), int(match["size"])) for match in matches)
    return stages, tuple(int(match["layers"]) for match in matches)


def _weight_precision(record: Record, column: str) -> str:
    """Precision of the weights, as released where the row does not say."""
    return _precision(record, column, WEIGHT_BYTES, released_precision(record.text("model")))


def _precision(record: Record, column: str, known: dict[str, float], default: str) -> str:
    """Precision of a column; `default` where it is empty or left to the engine."""
    written = "" if record.is_empty(column) else written_precision(record.text(column))
    precision = written_precision(default) if written in ("", "auto") else written
    if precision not in known:
        raise record.error(column, f"one of {', '.join(known)}")
    return precision


def _provenance(record: Record) -> Provenance:
    text = record.text("provenance", Provenance.MEASURED).lower()
    if text not in set(Provenance):
        raise record.error("provenance", f"one of {', '.join(Provenance)}")
    return Provenance(text)


def _zero_or(record: Record, column: str, unit: str) -> float:
    """A figure of that unit; 0 where empty or 0."""
    if record.is_empty(column) or record.number(column, range_text(unit)) == 0:
        return 0.0
    return figure(record, column, unit)


def _share(record: Record, column: str, default: float) -> float:
    return default if record.is_empty(column) else _zero_or(record, column, "a share")
