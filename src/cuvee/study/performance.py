"""How fast every replica of a study serves every workload type, and how long requests take; prices come later.

A study asks about machines of eight GPUs of one type, cut into equal replicas: tensor times pipeline parallelism of 1,
2, 4 or 8 GPUs. So every configuration fills the machine, and its data parallelism is what is left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.plan.candidates.placement import tensor_parallel_sizes
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.engine import SUSTAINED_TFLOPS_PER_WATT
from cuvee.profile.hardware import gpu_family
from cuvee.profile.latency import Latency
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.pessimism import LARGEST_BAND, assumed_band
from cuvee.profile.replica import ReplicaConfig, Stage, split_layers
from cuvee.profile.table import ThroughputProvider, ThroughputTable
from cuvee.workload.latency_limits import LatencyLimits, LatencyObjective
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]

GPUS_OF_A_MACHINE = 8
"""Most GPUs of a replica [-]."""

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0)
"""Latency percentiles that a study states [%]; below the median the latency curve has no figures of its own."""

NO_LIMIT_S = 1e9
"""Stands for a limit that nothing exceeds [s]: the latency curve is only made where there is one."""


@dataclass(frozen=True, eq=False)
class Performance:
    """Rates and latencies of all replicas of one model.

    Attributes
        table           Rates of the replicas on the workload types.
        band            Half-width of each rate's error that comparisons reckon with [-]: a stand-in where none is
                        known, the largest there is where the estimate is extrapolated.
        extrapolated    GPU types whose estimates are: see `is_extrapolated`.
        provider        Where the rates come from.
        estimates       Where latency curves come from.
    """

    model: ModelSpec
    table: ThroughputTable
    band: Array
    extrapolated: frozenset[str]
    provider: ThroughputProvider
    estimates: AnalyticProvider
    _latencies: dict[tuple[float, float], Latency] = field(default_factory=dict, repr=False)

    def latency(self, load: float, percentile: float) -> Latency:
        """Latency at a percentile [s] when each replica serves `load` of its saturated rate [-]; 0 where none fits."""
        if (load, percentile) not in self._latencies:  # every set of prices asks for the same
            limits = LatencyLimits(e2e_s=NO_LIMIT_S, statistic=f"p{percentile:g}")
            limited = LimitedProvider(self.provider, self.estimates, {self.model.name: LatencyObjective(limits)})
            self._latencies[load, percentile] = limited.latency_at_share(self.table, load)
        return self._latencies[load, percentile]


def is_extrapolated(gpu: GpuType) -> bool:
    """Whether nothing was ever read off GPUs of this architecture: the model takes its data sheet as if it were one of
    NVIDIA's, without the rate that its power limit sustains.
    """
    return gpu_family(gpu) not in SUSTAINED_TFLOPS_PER_WATT


def list_replicas(model: ModelSpec, gpus: Sequence[GpuType], precisions: Sequence[str]) -> tuple[ReplicaConfig, ...]:
    """Replicas of one GPU type each that fill a machine of eight without a gap, smallest first."""
    return tuple(
        ReplicaConfig(model.name, tuple(Stage(gpu.name, size, layers) for layers in split), precision)
        for gpu in gpus
        for precision in precisions
        if gpu.can_hold_weights(precision)
        for size, split in _splits(model)
    )


def _splits(model: ModelSpec) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Tensor-parallel size, and the layers of each stage."""
    sizes = tensor_parallel_sizes(model, GPUS_OF_A_MACHINE)
    shapes = [(size, 2**power) for size in sizes for power in range(GPUS_OF_A_MACHINE.bit_length())]
    for size, depth in sorted(shapes, key=lambda shape: (shape[0] * shape[1], -shape[0])):
        if size * depth <= GPUS_OF_A_MACHINE and depth <= model.num_layers:
            yield size, split_layers(model.num_layers, depth)


def performance(
    model: ModelSpec,
    gpus: Sequence[GpuType],
    workloads: Sequence[WorkloadType],
    *,
    provider: ThroughputProvider,
    estimates: AnalyticProvider,
    precisions: Sequence[str] = (),
) -> Performance:
    """Rates of every replica of `model` on `gpus`.

    Parameters
        provider      Rates; whatever was measured comes first in it.
        estimates     Latency curves.
        precisions    Of the weights; as released where none is given.
    """
    table = provider.table(list_replicas(model, gpus, precisions or (model.released_precision,)), workloads)
    band = assumed_band(table.relative_error, estimates.engine)
    extrapolated = frozenset(gpu.name for gpu in gpus if is_extrapolated(gpu))
    of_these = np.array([config.stages[0].gpu in extrapolated for config in table.configs], dtype=bool)
    unknown = of_these[:, None] & ~np.isfinite(table.relative_error)
    return Performance(model, table, np.where(unknown, LARGEST_BAND, band), extrapolated, provider, estimates)
