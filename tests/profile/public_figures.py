"""The roofline against public measurements, row by row, where their collection is at hand."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cuvee.profile import ReplicaConfig
from cuvee.profile.measurements import Measurement, load_measurements
from cuvee.profile.points import KnownPoint
from cuvee.profile.scoring import score

COLLECTION = Path(__file__).parents[3] / "shared" / "data" / "figures" / "measured_throughput.csv"
"""Public throughput figures, collected beside the checkout; not part of the repository."""


@dataclass(frozen=True)
class Comparison:
    """One public row and what the roofline says of it [req/s]."""

    gpu: str
    model: str
    config: ReplicaConfig
    group: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """|predicted / measured - 1| [-]."""
        return abs(self.predicted / self.measured - 1)


@cache
def tensorrt_llm_offline() -> list[Comparison]:
    """Offline rows of the TensorRT-LLM 0.14 performance overview that nothing speaks against."""
    return _compare(lambda row: row.group == "trtllm-0.14" and row.concurrency is None)


@cache
def vllm_runs() -> list[Comparison]:
    """Saturated vLLM runs; those at a fixed concurrency are capped at it."""
    return _compare(lambda row: row.engine == "vLLM")


@cache
def tensorrt_llm_served() -> list[Comparison]:
    """Saturated runs of trtllm-serve 1.2."""
    return _compare(lambda row: row.engine == "TensorRT-LLM" and row.group == "gpustack")


@cache
def sglang_runs() -> list[Comparison]:
    """Saturated runs of SGLang 0.5.5."""
    return _compare(lambda row: row.engine == "SGLang" and row.group == "gpustack")


@cache
def sglang_closed_loop() -> list[Comparison]:
    """Runs of SGLang 0.5.6 at a fixed concurrency on H200."""
    return _compare(lambda row: row.engine == "SGLang" and row.group == "nvidia-gap-analysis")


def _compare(chosen: Callable[[Measurement], bool]) -> list[Comparison]:
    scored = score([row for row in load_measurements(COLLECTION) if chosen(row)])
    return [_comparison(each.measurement, each.measured, each.predicted) for each in scored.of("rate")]


def _comparison(row: Measurement, measured: float, predicted: float) -> Comparison:
    config = KnownPoint.of(row).config
    return Comparison(config.stages[0].gpu, config.model, config, row.group, measured, predicted)


def error_summary(rows: list[Comparison]) -> tuple[int, float, float, float]:
    """Count, then median, mean and 90th percentile of the error [-]."""
    errors = np.array([row.error for row in rows])
    return len(rows), float(np.median(errors)), float(errors.mean()), float(np.percentile(errors, 90))
