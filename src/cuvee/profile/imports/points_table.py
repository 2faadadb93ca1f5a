"""Imported points as the CSV that `load_measurements` reads, with percentiles and counts in columns of their own."""

from cuvee.catalog.tables import csv_text
from cuvee.profile.imports.importing import Imported, ImportedPoint
from cuvee.profile.imports.load_point import PERCENTILES
from cuvee.units import MS_PER_S

LATENCIES = {"ttft": "ttft", "tpot": "tpot", "e2e": "end_to_end", "itl": "inter_token"}
"""Prefix of a latency's columns, and its field."""


def points_to_csv(imported: Imported) -> str:
    """The table as text; a cell is empty where nothing is known."""
    rows = [_row(each) for each in imported.points]
    return csv_text(list(rows[0]), (list(row.values()) for row in rows))


def _row(each: ImportedPoint) -> dict[str, object]:
    point, served = each.point, each.point.deployment
    cells: dict[str, object] = {
        "id": each.id,
        "group": point.group,
        "gpu": served.gpu,
        "num_gpus": served.num_gpus if point.num_gpus is None else point.num_gpus,
        "tp": served.tp,
        "pp": served.pp,
        "replicas": served.replicas,
        "model": served.model,
        "weights": served.weights,
        "kv": served.kv,
        "engine": served.engine,
        "engine_version": served.engine_version,
        "isl": point.input_tokens,
        "osl": point.output_tokens,
        "concurrency": point.load.concurrency,
        "request_rate": point.load.request_rate_req_per_s,
        "req_s": point.rate_req_per_s,
        "relative_error": point.relative_error,
        "saturated": None if point.is_saturated is None else "yes" if point.is_saturated else "no",
        "out_tok_s": point.output_tokens_per_s,
        **_latencies(each),
        "completed": point.completed,
        "warm_up_completed": point.warm_up_completed,
        "failed": point.failed,
        "duration_s": point.duration_s,
        "doubtful": "yes" if each.is_doubtful else "no",
        "note": each.note,
        "source": point.source or point.place,
        "date": point.date,
    }
    return {name: _cell(value) for name, value in cells.items()}


def _latencies(each: ImportedPoint) -> dict[str, float | None]:
    """Means first: their columns are those that every reader knows."""
    found = {prefix: getattr(each.point, name) for prefix, name in LATENCIES.items()}
    means = {f"{prefix}_ms": value and value.mean_s * MS_PER_S for prefix, value in found.items()}
    spread = {
        f"{prefix}_p{percentile}_ms": value and _in_ms(value.percentiles_s.get(percentile))
        for prefix, value in found.items()
        for percentile in PERCENTILES
    }
    return {**means, **spread}


def _in_ms(value_s: float | None) -> float | None:
    return None if value_s is None else value_s * MS_PER_S


def _cell(value: object) -> str:
    """Text of a cell: numbers as short as they are exact, texts on one line."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    return " ".join(str(value).split())
