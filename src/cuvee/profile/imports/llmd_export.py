"""Load points as Benchmark Reports of llm-d, version 0.2.1: one a point.

Source      llm-d-benchmark, benchmark-report/, package llmd-benchmark-report 0.2.1, read 2026-11.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cuvee.errors import InputError
from cuvee.profile.imports.importing import ImportedPoint, unique
from cuvee.profile.imports.llmd_report import OURS, UNKNOWN
from cuvee.profile.imports.load_point import Latency, LoadPoint
from cuvee.profile.table import Provenance

VERSION = "0.2.1"
SUFFIXES = (".yaml", ".yml")
NOT_IN_A_NAME = re.compile(r"[^\w.-]+", re.ASCII)
MAX_NAME = 100
SCHEMA_VERSION = "0.0.1"
"""Of the descriptions of components and load within a report."""


def to_report(each: ImportedPoint) -> dict[str, Any]:
    """Report of one load point, as plain data; what is not known is left out, or "unknown" where it is required."""
    point = each.point
    content = {"scenario": _scenario(each), "results": _results(point)}
    run: dict[str, Any] = {"uid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"cuvee:{_digest(content)}"))}
    if point.duration_s is not None:
        run["time"] = {"duration": f"PT{point.duration_s:.10g}S"}
    if each.note:
        run["description"] = each.note
    run["keywords"] = [OURS, point.provider.value, *(["doubtful"] if each.is_doubtful else [])]
    return {"version": VERSION, "run": run, **content}


def report_text(each: ImportedPoint) -> str:
    """The same as YAML."""
    return yaml.safe_dump(to_report(each), sort_keys=False, allow_unicode=True)


def file_names(points: Sequence[ImportedPoint], target: Path) -> list[Path]:
    """File of each point's report: the target itself where it is named .yaml, files by their ids inside it elsewhere.

    Raises      InputError: one file for several points.
    """
    if target.suffix.lower() in SUFFIXES:
        if len(points) > 1:
            raise InputError(
                f"{target}: one file for {len(points)} points",
                expected="a folder: a report holds one point",
                remedy=f"name a folder, e.g. --save {target.stem}",
            )
        return [target]
    taken: set[str] = set()
    plain = (NOT_IN_A_NAME.sub("-", each.id).strip(".-")[:MAX_NAME] or "point" for each in points)
    return [target / f"{unique(name, taken)}.yaml" for name in plain]


def _scenario(each: ImportedPoint) -> dict[str, Any]:
    point, served = each.point, each.point.deployment
    stage = (served.tp or 1) * (served.pp or 1)
    engine = {
        "kind": "inference_engine",
        "tool": served.engine or UNKNOWN,
        "tool_version": served.engine_version or UNKNOWN,
        "role": "replica",
        "replicas": served.replicas or 1,
        "model": {"name": served.model or UNKNOWN},
        "accelerator": {
            "model": served.gpu or UNKNOWN,
            "count": stage,
            "parallelism": {"tp": served.tp or 1, "pp": served.pp or 1},
        },
    }
    load = _load(point)
    own = {
        "id": each.id,
        "group": point.group,
        "note": each.note,
        "source": point.source,
        "doubtful": each.is_doubtful,
        "weights": served.weights,
        "kv": served.kv,
        "concurrency": point.load.concurrency,
        "date": point.date,
        "provider": point.provider.value if point.provider is not Provenance.MEASURED else None,
        "relative_error": point.relative_error,
    }
    return {
        "stack": [
            {
                "metadata": {"schema_version": SCHEMA_VERSION, "label": "engine", "cfg_id": _digest(engine)},
                "standardized": engine,
                "native": {},
            }
        ],
        "load": {
            "metadata": {"schema_version": SCHEMA_VERSION, "cfg_id": _digest(load)},
            "standardized": load,
            "native": {"config": {OURS: {name: value for name, value in own.items() if value not in (None, "")}}},
        },
    }


def _load(point: LoadPoint) -> dict[str, Any]:
    tool, _, version = point.tool.rpartition(" ")
    if not version[:1].isdigit():
        tool, version = point.tool or UNKNOWN, UNKNOWN
    load: dict[str, Any] = {
        "tool": tool,
        "tool_version": version,
        "source": "unknown",
        "input_seq_len": {"distribution": "other", "value": point.input_tokens},
        "output_seq_len": {"distribution": "other", "value": point.output_tokens},
    }
    concurrency, rate = point.load.concurrency, point.load.request_rate_req_per_s
    if rate is not None:
        load["rate_qps"] = rate
    if concurrency is not None:
        load["concurrency"] = max(1, round(concurrency))  # the schema has whole numbers alone
    elif rate is None:
        load["concurrency"] = float("inf")
    return load


def _results(point: LoadPoint) -> dict[str, Any]:
    latencies = {
        "time_to_first_token": _statistics(point.ttft, "s"),
        "time_per_output_token": _statistics(point.tpot, "s/token"),
        "request_latency": _statistics(point.end_to_end, "s"),
    }
    rates = {
        "output_token_rate": _mean(point.output_tokens_per_s, "tokens/s"),
        "request_rate": _mean(point.rate_req_per_s, "queries/s"),
    }
    aggregate: dict[str, Any] = {}
    if point.completed is not None:
        aggregate["requests"] = {
            "total": point.completed + (point.failed or 0),
            **({} if point.failed is None else {"failures": point.failed}),
            "input_length": _mean(point.input_tokens, "count"),
            "output_length": _mean(point.output_tokens, "count"),
        }
    aggregate["latency"] = {name: value for name, value in latencies.items() if value is not None}
    aggregate["throughput"] = {name: value for name, value in rates.items() if value is not None}
    return {"request_performance": {"aggregate": aggregate}}


def _statistics(latency: Latency | None, units: str) -> dict[str, Any] | None:
    if latency is None:
        return None
    percentiles = {f"p{each}": value for each, value in latency.percentiles_s.items()}
    return {"units": units, "mean": latency.mean_s, **percentiles}


def _mean(value: float | None, units: str) -> dict[str, Any] | None:
    return None if value is None else {"units": units, "mean": value}


def _digest(content: object) -> str:
    """Short name of a content, the same in every run."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
