"""The throughput table: requests per second of every configuration on every workload type, with its provenance."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.workload.records import WorkloadType


class Provenance(StrEnum):
    """How a throughput value came about."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    KERNEL_TABLES = "kernel tables"
    ESTIMATED = "estimated"


NOT_STATED = "not stated"
"""The date of a value whose source gives none."""

NO_SOURCE = -1
"""Index of the source of a value that is not known."""


@dataclass(frozen=True)
class RateSource:
    """Where a throughput value comes from; its error band stands beside the value.

    Attributes
        provider    How it came about.
        source      What was measured, fitted or computed, and by whom.
        date        Of the measurement, of the fit, or of the constants of the model; `NOT_STATED` where nobody says.
    """

    provider: Provenance
    source: str
    date: str

    def __post_init__(self) -> None:
        for name, value in (("source", self.source), ("date", self.date)):
            if not value.strip():
                raise InputError(
                    f"{self.provider} rates without a {name}",
                    expected="provider, source and date of every rate",
                    remedy=f"say where they come from and when they were taken, or {NOT_STATED!r}",
                )

    def __str__(self) -> str:
        return f"{self.provider}: {self.source}"


@dataclass(frozen=True, eq=False)
class ThroughputTable:
    """h_cw and what stands beside it; every array has shape (num_configs, num_workloads) and no NaN.

    Attributes
        rate_req_per_s   Rate one replica sustains serving this workload type alone [req/s]; 0 where it does not fit.
        fits             Whether weights and cache fit and the context is long enough.
        relative_error   Error band of the rate [-] (`bands.py`); inf where no sound public figure covers it.
        ttft_s           Time to first token at that rate, without queueing [s]; 0 where not known.
        tpot_s           Time per output token at that rate [s]; 0 where not known.
        num_sequences    Sequences running at once [-]; 0 where not known.
        source           Index of the source of each value in `sources`; `NO_SOURCE` at most where it does not fit.
        sources          Where values come from.
    Raises               InputError: a value that fits without a source, or with a band that is no share.
    """

    configs: Sequence[ReplicaConfig]
    workloads: tuple[WorkloadType, ...]
    rate_req_per_s: NDArray[np.float64]
    fits: NDArray[np.bool_]
    relative_error: NDArray[np.float64]
    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    num_sequences: NDArray[np.float64]
    source: NDArray[np.int64]
    sources: tuple[RateSource, ...]

    def __post_init__(self) -> None:
        index = _without_repeats(self.source)
        known = (index >= 0) & (index < len(self.sources))
        if not (known | ~self.fits).all():
            raise InputError(
                "rates without a source", expected="provider, source and date of every rate", remedy="name them"
            )
        if not (self.relative_error >= 0).all():
            raise InputError("error bands below 0 or not a number", expected="a share of the rate, or inf if not known")

    @property
    def provenance(self) -> NDArray[np.object_]:
        """Provenance of each value; None where it has no source."""
        kinds = np.array([*(source.provider for source in self.sources), None], dtype=object)
        index = _without_repeats(self.source)
        return np.broadcast_to(kinds[index], self.source.shape)

    def source_of(self, row: int, column: int) -> RateSource | None:
        """Where one value comes from; None where it is not known."""
        index = int(self.source[row, column])
        return None if index == NO_SOURCE else self.sources[index]

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
            self._source_at(index),
            self.sources,
        )

    def _source_at(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """That of the configurations at `rows`; where one value stands for all it is not copied."""
        if len(self.source) and not any(self.source.strides):
            return np.broadcast_to(self.source[:1], (len(rows), self.source.shape[1]))
        return self.source[rows]


def _without_repeats(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """One cell where one value stands for all, else all of them."""
    return index[:1, :1] if not any(index.strides) else index


class ThroughputProvider(Protocol):
    """Anything that can fill a throughput table; of each value it says provider, source, date and error band."""

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads`; a pair it knows nothing of has `fits` False and rate 0."""
        ...


def stacked(first: ThroughputTable, second: ThroughputTable) -> ThroughputTable:
    """The configurations of `first`, then those of `second`, both on the same workloads."""
    names = ("rate_req_per_s", "fits", "relative_error", "ttft_s", "tpot_s", "num_sequences")
    sources, index = _merged(first, second)
    arrays = [part.configs for part in (first, second) if isinstance(part.configs, ReplicaArrays)]
    configs = ReplicaArrays.joined(arrays) if len(arrays) == 2 else (*first.configs, *second.configs)
    return ThroughputTable(
        configs,
        first.workloads,
        **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names},
        source=np.concatenate([first.source, index]),
        sources=sources,
    )


def overlay(first: ThroughputTable, second: ThroughputTable) -> ThroughputTable:
    """Values of `first` where it has the cell, of `second` elsewhere; both over the same configs and workloads."""
    known = first.fits
    sources, index = _merged(first, second)

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
        np.where(known, first.source, index),
        sources,
    )


def _merged(first: ThroughputTable, second: ThroughputTable) -> tuple[tuple[RateSource, ...], NDArray[np.int64]]:
    """Sources of both, those of `first` before, and the index of the values of `second` among them."""
    sources = tuple(dict.fromkeys((*first.sources, *second.sources)))
    moved = np.array([*(sources.index(source) for source in second.sources), NO_SOURCE], dtype=np.int64)
    return sources, np.broadcast_to(moved[_without_repeats(second.source)], second.source.shape)
