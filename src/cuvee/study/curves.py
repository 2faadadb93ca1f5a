"""What a promise costs: least money for a million requests at each end-to-end latency, for every GPU type.

A replica at a lower load answers sooner and costs more a request. Over all configurations of a GPU type and all loads,
the points that no other beats in both are its curve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.profile.replica import ReplicaConfig
from cuvee.study.entry import Entry
from cuvee.study.performance import Performance
from cuvee.study.study import Study

LOADS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)
"""Shares of the saturated rate at which curves have points [-]."""

Key = tuple[str, str, str]
"""Model, GPU type and workload type."""


CURVE_PERCENTILES = (50.0, 90.0, 95.0, 99.0)
"""Latency percentiles that curves are made of [%]."""


@dataclass(frozen=True)
class CurvePoint:
    """A load of a configuration.

    Attributes
        e2e_s                   End-to-end latency at the percentile asked [s].
        usd_per_million_requests   Money for a million requests at that load [$].
        load                    Share of the saturated rate [-].
    """

    e2e_s: float
    usd_per_million_requests: float
    config: ReplicaConfig
    load: float


Curves = Mapping[Key, tuple[CurvePoint, ...]]
"""Curve of every GPU type on every workload type, fastest and dearest point first."""


def cost_curves(study: Study, performances: Sequence[Performance], percentile: float) -> Curves:
    """The curves at a latency percentile [%]."""
    points: dict[Key, list[CurvePoint]] = {}
    entries = {(entry.config, entry.workload.name): entry for entry in study.entries}
    for one in performances:
        for load in LOADS:
            e2e_s = one.latency(load, percentile).e2e_s
            for row, config in enumerate(one.table.configs):
                for column, workload in enumerate(one.table.workloads):
                    entry = entries.get((config, workload.name))
                    if entry is not None and np.isfinite(e2e_s[row, column]):
                        _append(points, entry, float(e2e_s[row, column]), load)
    return {key: _undominated(found) for key, found in points.items()}


def _append(points: dict[Key, list[CurvePoint]], entry: Entry, e2e_s: float, load: float) -> None:
    key = (entry.model, entry.gpu, entry.workload.name)
    points.setdefault(key, []).append(CurvePoint(e2e_s, entry.usd_per_million_requests / load, entry.config, load))


def _undominated(points: Sequence[CurvePoint]) -> tuple[CurvePoint, ...]:
    """Points than which no other is both faster and cheaper, by latency."""
    kept: list[CurvePoint] = []
    for point in sorted(points, key=lambda each: (each.e2e_s, each.usd_per_million_requests)):
        if not kept or point.usd_per_million_requests < kept[-1].usd_per_million_requests:
            kept.append(point)
    return tuple(kept)
