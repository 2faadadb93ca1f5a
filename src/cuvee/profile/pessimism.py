"""Pessimism: rates lowered towards the lower end of their error band.

    h' = h / (1 + band)^pessimism

The band of a rate is that of its table, as `cuvee.profile.bands` defines it. Where none is known, a stand-in takes its
place: twice the engine's band, for a configuration nobody compared is less sure than one of those that were. No band
counts for more than `LARGEST_BAND`. Only rates are lowered: times to first and per token stay those of the estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.engine import EngineSettings
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import ThroughputProvider, ThroughputTable
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]

UNKNOWN_BAND_FACTOR = 2.0
"""Bands of the engine that stand in for one that is not known [-]."""

LARGEST_BAND = 0.9
"""Largest band that counts [-]: half of each rate stays, so that what could be served before still can be."""


def assumed_band(relative_error: Array, engine: EngineSettings) -> Array:
    """Bands that caution reckons with [-]: those stated, and the stand-in where one is infinite."""
    stand_in = UNKNOWN_BAND_FACTOR * engine.relative_error
    band: Array = np.minimum(np.where(np.isfinite(relative_error), relative_error, stand_in), LARGEST_BAND)
    return band


def lowering(relative_error: Array, pessimism: float, engine: EngineSettings) -> Array:
    """(1 + band)^-pessimism: what is left of each rate [-], at a pessimism of 1 the lower end of its band."""
    left: Array = (1.0 + assumed_band(relative_error, engine)) ** -pessimism
    return left


@dataclass(frozen=True)
class PessimisticProvider:
    """Rates of `provider`, each lowered by a share of its error band; the band stays that of the rate before.

    Parameters
        provider     Where the rates come from.
        pessimism    Share of the band [-], in (0, 1].
        engine       Whose band stands in for those not known.
    """

    provider: ThroughputProvider
    pessimism: float
    engine: EngineSettings

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Lowered rates of `configs` on `workloads`."""
        table = self.provider.table(configs, workloads)
        left = lowering(table.relative_error, self.pessimism, self.engine)
        return replace(table, rate_req_per_s=table.rate_req_per_s * left)


def lowered(provider: ThroughputProvider, pessimism: float, engine: EngineSettings) -> ThroughputProvider:
    """`provider` with its rates lowered by `pessimism`, whatever they were lowered by before."""
    estimates = provider.provider if isinstance(provider, PessimisticProvider) else provider
    return PessimisticProvider(estimates, pessimism, engine) if pessimism > 0 else estimates
