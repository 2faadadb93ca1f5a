"""How long requests take at each load: time to first token, per output token and end to end, replica by replica."""

from collections.abc import Sequence
from dataclasses import dataclass

from cuvee.study.entry import Entry, PercentileLatency
from cuvee.study.performance import Performance
from cuvee.study.study import Study

LOADS = (0.3, 0.5, 0.7, 0.85, 0.95)
"""Shares of the saturated rate at which latencies are told [-]."""

LOAD_PERCENTILES = (50.0, 90.0, 99.0)
"""Percentiles at which they are [%]."""


@dataclass(frozen=True)
class LoadPoint:
    """A replica at one load.

    Attributes
        load         Share of the saturated rate [-].
        latencies    At each of `LOAD_PERCENTILES`.
    """

    load: float
    latencies: tuple[PercentileLatency, ...]

    def at(self, percentile: float) -> PercentileLatency:
        """Latency at one of the percentiles; raises KeyError for another."""
        return {each.percentile: each for each in self.latencies}[percentile]


LoadCurves = dict[Entry, tuple[LoadPoint, ...]]
"""The best configuration of each GPU type on each workload type, at each of `LOADS`."""


def load_curves(study: Study, performances: Sequence[Performance]) -> LoadCurves:
    """Latencies of every figure that tables show, lowest load first."""
    of_model = {one.model.name: one for one in performances}
    rows = {config: row for one in performances for row, config in enumerate(one.table.configs)}
    return {
        entry: tuple(_point(of_model[entry.model], rows[entry.config], entry, load) for load in LOADS)
        for entry in study.shown()
    }


def _point(one: Performance, row: int, entry: Entry, load: float) -> LoadPoint:
    column = next(at for at, kind in enumerate(one.table.workloads) if kind.name == entry.workload.name)
    found = []
    for percentile in LOAD_PERCENTILES:
        times = one.latency(load, percentile)
        values = (float(each[row, column]) for each in (times.ttft_s, times.tpot_s, times.e2e_s))
        found.append(PercentileLatency(percentile, *values))
    return LoadPoint(load, tuple(found))
