"""Throughput within latency limits: a rate becomes the highest load at which the limits hold.

Where even an idle replica misses a limit, the pair does not fit. A cell whose rate is not the estimate's, measured or
lowered, is taken for the estimated replica in slow (or fast) motion: every time is stretched by the estimated over the
known rate, and the time per output token further where the table states a longer one. The time to first token that a
table states is not used, for it was taken at saturation and holds a queue of unknown length.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.analytic import CELLS_AT_ONCE, AnalyticProvider, alike
from cuvee.profile.highest_load import LatencyCurve
from cuvee.profile.latency import Latency
from cuvee.profile.load import loadable
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.table import NO_SOURCE, Provenance, RateSource, ThroughputProvider, ThroughputTable
from cuvee.workload.latency_limits import LABELS, LatencyLimits, LatencyObjective
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]

Cells = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows and columns of some cells of a table, side by side."""

LOWERED = "lowered to the load that an estimated latency curve allows"

LOWEST_RATE_REQ_PER_S = 1e-12
"""A replica that gets nothing is as idle as one that gets this [req/s]."""


@dataclass(frozen=True, eq=False)
class LimitedTable:
    """Rates within latency limits, and what stands behind them; arrays of shape (num_configs, num_workloads).

    Attributes
        table        rate_req_per_s: highest load at which the limits hold, fits False where there is none; ttft_s,
                     tpot_s: at that load, in the limits' statistic.
        saturated    Rates and latencies without limits.
        idle         Latency without load [s]; 0 where there are no limits, nan where there is no estimate.
        excess       The same over its limit, where that is most [-]: above 1 the pair is left out.
        e2e_s        End to end at the highest load [s]; 0 where there are no limits.
    """

    table: ThroughputTable
    saturated: ThroughputTable
    idle: Latency
    excess: Array
    e2e_s: Array


@dataclass(frozen=True)
class LimitedProvider:
    """Rates of `provider` within latency limits.

    Parameters
        provider      Saturated rates.
        estimates     Where the latency curve comes from.
        objectives    Limits by model; a model not named has none.
    """

    provider: ThroughputProvider
    estimates: AnalyticProvider
    objectives: Mapping[str, LatencyObjective]

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads` within the limits."""
        return self.limited(self.provider.table(configs, workloads)).table

    def limited(self, table: ThroughputTable) -> LimitedTable:
        """`table`, of saturated rates, within the limits."""
        rate, fits, error = table.rate_req_per_s.copy(), table.fits.copy(), table.relative_error.copy()
        is_limited = np.zeros_like(fits)
        found = Latency(table.ttft_s.copy(), table.tpot_s.copy(), np.zeros_like(rate))
        idle, excess = _nothing(rate), np.zeros_like(rate)
        for cells, curve in self._curves(table):
            highest = curve.highest_occupancy()
            load = curve.at(np.nan_to_num(highest))
            # Limits on the time per token alone may admit a saturated replica: it keeps its rate.
            most = np.where(highest < 1, curve.rate_req_per_s(load), table.rate_req_per_s[cells])
            most = np.where(np.isfinite(highest), most, 0.0)
            rate[cells], fits[cells] = most, most > 0
            error[cells] = np.inf  # no public figure says how far a latency-limited rate is from the estimate
            is_limited[cells] = True
            _put(idle, cells, curve.latency(curve.idle))
            excess[cells] = curve.excess()
            _put(found, cells, curve.latency(load), most > 0)
        limited = replace(
            _with_lowered_sources(table, is_limited),
            rate_req_per_s=rate,
            fits=fits,
            relative_error=error,
            ttft_s=found.ttft_s,
            tpot_s=found.tpot_s,
        )
        return LimitedTable(limited, table, idle, excess, found.e2e_s)

    def latency_at(self, table: ThroughputTable, rate_req_per_s: Array) -> Latency:
        """Latency of the replicas of `table`, of saturated rates, at a rate each that is within the limits [s].

        Returns     0 where there are no limits, nan where none can hold.
        """
        found = _nothing(rate_req_per_s)
        for cells, curve in self._curves(table):
            rate = np.maximum(rate_req_per_s[cells], LOWEST_RATE_REQ_PER_S)
            occupancy = curve.occupancy_at(rate, curve.highest_occupancy())
            _put(found, cells, curve.latency(curve.at(occupancy)))
        return found

    def latency_at_share(self, table: ThroughputTable, share: float) -> Latency:
        """Latency of the replicas of `table` at a share of their saturated rates, within the limits or not [s]."""
        found = _nothing(table.rate_req_per_s)
        for cells, curve in self._curves(table):
            rate = share * table.rate_req_per_s[cells]
            _put(found, cells, curve.latency(curve.at(curve.occupancy_at(rate, np.ones_like(rate)))))
        return found

    def latency_at_occupancy(self, table: ThroughputTable, occupancy: float) -> Latency:
        """Latency of the replicas of `table` as busy as `occupancy` says, within the limits or not [s]."""
        found = _nothing(table.rate_req_per_s)
        for cells, curve in self._curves(table):
            _put(found, cells, curve.latency(curve.at(np.full(len(cells[0]), occupancy))))
        return found

    def limits_of(self, model: str, workload: str) -> LatencyLimits:
        """Limits of a model's workload type."""
        return self.objectives.get(model, LatencyObjective()).of(workload)

    def _curves(self, table: ThroughputTable) -> Iterator[tuple[Cells, LatencyCurve]]:
        """Curves of the cells that fit and are limited, some at a time; nan where there is no estimate."""
        for rows, configs in alike(table.configs):
            limits = [self.limits_of(configs.model, kind.name) for kind in table.workloads]
            columns = np.array([column for column, each in enumerate(limits) if each.as_dict()], dtype=np.int64)
            chosen = [limits[column] for column in columns]
            step = max(1, CELLS_AT_ONCE // max(1, configs.gpu.shape[1] * len(columns)))
            for start in range(0, len(rows) if len(columns) else 0, step):
                part = configs[start : start + step]
                mine = rows[start : start + step]
                own, of_column = np.nonzero(table.fits[np.ix_(mine, columns)])
                cells = (mine[own], columns[of_column])
                replicas = loadable(self.estimates, part, table.workloads).cells(own, columns[of_column])
                stretches = self._stretches(table, cells, part, own)
                known = table.rate_req_per_s[cells]
                yield cells, LatencyCurve.of(replicas, chosen, of_column, *stretches, known)

    def _stretches(
        self,
        table: ThroughputTable,
        cells: Cells,
        configs: ReplicaArrays,
        rows: NDArray[np.int64],
    ) -> tuple[Array, Array]:
        """Times of the replicas over those estimated, and the same of the time per output token [-].

        Parameters
            rows    Of the cells, in `configs`.
        """
        known = table.rate_req_per_s[cells]
        if self.provider is self.estimates:
            return np.ones_like(known), np.ones_like(known)
        estimate, own = self.estimates.table(configs, table.workloads), (rows, cells[1])
        rate, tpot_s = estimate.rate_req_per_s[own], estimate.tpot_s[own]
        stretch = np.where(rate > 0, rate / known, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            longer = np.where(rate > 0, table.tpot_s[cells] / tpot_s, np.nan)
        stated = table.provenance[cells] != Provenance.ESTIMATED
        return stretch, np.where(stated, np.maximum(stretch, longer), stretch)


def _with_lowered_sources(table: ThroughputTable, is_limited: NDArray[np.bool_]) -> ThroughputTable:
    """`table` whose limited values say so in their sources, but for those that are estimates as the limits are."""
    lowered = [_lowered(source) for source in table.sources]
    if lowered == list(table.sources):
        return table
    sources = tuple(dict.fromkeys((*table.sources, *lowered)))
    moved = np.array([*(sources.index(source) for source in lowered), NO_SOURCE])
    index = np.where(is_limited, moved[table.source], table.source)
    used = np.bincount(index.ravel() + 1, minlength=len(sources) + 1)[1:] > 0
    places = np.array([*np.cumsum(used) - 1, NO_SOURCE])
    kept = tuple(source for source, is_used in zip(sources, used, strict=True) if is_used)
    return replace(table, source=places[index], sources=kept)


def _lowered(source: RateSource) -> RateSource:
    """The source of a rate that latency limits lowered."""
    if source.provider is Provenance.ESTIMATED:
        return source
    provider = Provenance.CALIBRATED if source.provider is Provenance.MEASURED else source.provider
    return RateSource(provider, f"{source.source}, {source.provider}, then {LOWERED}", source.date)


def _nothing(like: Array) -> Latency:
    return Latency(np.zeros_like(like), np.zeros_like(like), np.zeros_like(like))


def _put(latency: Latency, cells: Cells, found: Latency, where: NDArray[np.bool_] | None = None) -> None:
    """Write the values of some cells, 0 but `where`."""
    for name in LABELS:
        value = getattr(found, name)
        getattr(latency, name)[cells] = value if where is None else np.where(where, value, 0.0)
