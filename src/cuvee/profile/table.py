"""The throughput table: requests per second of every configuration on every workload type, with its provenance."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.workload.records import WorkloadType


class Provenance(StrEnum):
    """How a throughput value came about."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    ESTIMATED = "estimated"


@dataclass(frozen=True, eq=False)
class ThroughputTable:
    """h_cw and what stands beside it; every array has shape (num_configs, num_workloads) and no NaN.

    Attributes
        rate_req_per_s   Rate one replica sustains serving this workload type alone [req/s]; 0 where it does not fit.
        fits             Whether weights and cache fit and the context is long enough.
        relative_error   Half-width of the error band of the rate [-]; inf where no sound public figure covers it.
        ttft_s           Time to first token at that rate, without queueing [s]; 0 where not known.
        tpot_s           Time per output token at that rate [s]; 0 where not known.
        num_sequences    Sequences running at once [-]; 0 where not known.
        provenance       Provenance of each value.
        sources          Where values come from, a line for each provenance, which it begins with: "measured: ...".
    """

    configs: Sequence[ReplicaConfig]
    workloads: tuple[WorkloadType, ...]
    rate_req_per_s: NDArray[np.float64]
    fits: NDArray[np.bool_]
    relative_error: NDArray[np.float64]
    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    num_sequences: NDArray[np.float64]
    provenance: NDArray[np.object_]
    sources: tuple[str, ...] = ()

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> "ThroughputTable":
        """The table of the configurations at `rows`, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        arrays = self.configs if isinstance(self.configs, ReplicaArrays) else None
        configs = arrays.select(index) if arrays is not None else tuple(self.configs[row] for row in index)
        return ThroughputTable(
            configs,
            self.workloads,
            self.rate_req_per_s[index],
            self.fits[index],
            self.relative_error[index],
            self.ttft_s[index],
            self.tpot_s[index],
            self.num_sequences[index],
            self._provenance_at(index),
            self.sources,
        )

    def _provenance_at(self, rows: NDArray[np.int64]) -> NDArray[np.object_]:
        """That of the configurations at `rows`; where one value stands for all it is not copied."""
        if len(self.provenance) and not any(self.provenance.strides):
            return np.broadcast_to(self.provenance[:1], (len(rows), self.provenance.shape[1]))
        return self.provenance[rows]


class ThroughputProvider(Protocol):
    """Anything that can fill a throughput table."""

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads`; a pair it knows nothing of has `fits` False and rate 0."""
        ...


def stacked(first: ThroughputTable, second: ThroughputTable) -> ThroughputTable:
    """The configurations of `first`, then those of `second`, both on the same workloads."""
    names = ("rate_req_per_s", "fits", "relative_error", "ttft_s", "tpot_s", "num_sequences", "provenance")
    arrays = [part.configs for part in (first, second) if isinstance(part.configs, ReplicaArrays)]
    configs = ReplicaArrays.joined(arrays) if len(arrays) == 2 else (*first.configs, *second.configs)
    return ThroughputTable(
        configs,
        first.workloads,
        **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names},
        sources=tuple(dict.fromkeys((*first.sources, *second.sources))),
    )


def overlay(first: ThroughputTable, second: ThroughputTable) -> ThroughputTable:
    """Values of `first` where it has the cell, of `second` elsewhere; both over the same configs and workloads."""
    known = first.fits

    def pick(name: str) -> NDArray[np.float64]:
        picked: NDArray[np.float64] = np.where(known, getattr(first, name), getattr(second, name))
        return picked

    return ThroughputTable(
        second.configs,
        second.workloads,
        pick("rate_req_per_s"),
        known | second.fits,
        pick("relative_error"),
        pick("ttft_s"),
        pick("tpot_s"),
        pick("num_sequences"),
        np.where(known, first.provenance, second.provenance),
        (*first.sources, *second.sources),
    )
