"""The calibrated provider: the analytic model with constants that were fitted to measured points of a configuration."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.errors import InputError
from cuvee.profile.analytic import NETWORK_GB_PER_S, AnalyticProvider
from cuvee.profile.constants import FACTOR_AT_MOST, NAMES, tuned
from cuvee.profile.engine import EngineSettings
from cuvee.profile.measured import candidates_of, model_key, same_precision, unknown_table
from cuvee.profile.replica import ReplicaConfig, Stage, split_layers
from cuvee.profile.table import NOT_STATED, Provenance, RateSource, ThroughputTable
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]

UNNAMED = "constants without a name"

ReplicaKey = tuple[str, str, str, str, int, int]


@dataclass(frozen=True)
class CalibratedReplica:
    """Constants of one configuration: equal stages of one GPU type in one machine, layers split evenly.

    Attributes
        engine            Name of the engine settings that the constants multiply.
        constants         Multipliers by name of `cuvee.profile.constants`; one not named is 1. None at all: the points
                          do not tell which are off, and the replica counts as not calibrated.
        relative_error    Error band [-], see `bands`; None where too few points tell it, or one kind of them: the
                          band of the analytic model stands.
        source, date      Where the constants come from, file and number of points; date of the fit.
    """

    gpu: str
    model: str
    precision: str
    kv_precision: str
    tensor_parallel_size: int
    pipeline_parallel_size: int
    engine: str
    constants: dict[str, float] = field(hash=False)
    relative_error: float | None = None
    source: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        label = f"constants of {self.model} on {self.gpu}"
        if self.tensor_parallel_size < 1 or self.pipeline_parallel_size < 1:
            raise InputError(f"{label}: TP{self.tensor_parallel_size} PP{self.pipeline_parallel_size}", expected="1 up")
        for name, value in self.constants.items():
            if name not in NAMES:
                raise InputError(f"{label}: {name!r}", expected=f"one of {', '.join(NAMES)}")
            if not 1 / FACTOR_AT_MOST <= value <= FACTOR_AT_MOST:
                expected = f"a factor from {1 / FACTOR_AT_MOST:g} to {FACTOR_AT_MOST:g}"
                raise InputError(f"{label}: {name} = {value!r}", expected=expected)
        if self.relative_error is not None and not 0 <= self.relative_error < np.inf:
            raise InputError(f"{label}: relative_error = {self.relative_error!r}", expected="a share of 0 or more")

    @property
    def key(self) -> ReplicaKey:
        """What it shares with the configurations that it speaks of."""
        sizes = (self.tensor_parallel_size, self.pipeline_parallel_size)
        precisions = (same_precision(self.precision), same_precision(self.kv_precision))
        return (model_key(self.model), self.gpu, *precisions, *sizes)

    def config(self, num_layers: int) -> ReplicaConfig:
        """The configuration, of a model of `num_layers` layers."""
        layers = split_layers(num_layers, self.pipeline_parallel_size)
        stages = tuple(Stage(self.gpu, self.tensor_parallel_size, count) for count in layers)
        return ReplicaConfig(self.model, stages, self.precision, self.kv_precision)


@dataclass(frozen=True)
class CalibratedProvider:
    """Rates of configurations that constants are known of; a cell of any other is unknown: `fits` False, rate 0.

    Parameters
        replicas            Constants; of several for one configuration the last counts.
        models, gpus        Shapes of the models and GPU types, by name.
        engine              Settings that the constants multiply; replicas of any other engine are unknown.
        network_gb_per_s    Link between machines, one direction [GB/s].
    """

    replicas: tuple[CalibratedReplica, ...]
    models: Mapping[str, ModelSpec]
    gpus: Mapping[str, GpuType]
    engine: EngineSettings
    network_gb_per_s: float = NETWORK_GB_PER_S
    mixes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    _by_key: dict[ReplicaKey, CalibratedReplica] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_key = {each.key: each for each in self.replicas if each.constants and each.engine == self.engine.name}
        object.__setattr__(self, "_by_key", by_key)

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads` where constants are known."""
        table = unknown_table(configs, workloads)
        sources: dict[RateSource, int] = {}
        cells = [(model, ((gpu, size),) * depth, precision) for model, gpu, precision, _, size, depth in self._by_key]
        for row, config in candidates_of(configs, cells):
            known = self._known_of(config)
            if known is not None and self._fill(table, row, config, known):
                source = RateSource(Provenance.CALIBRATED, known.source or UNNAMED, known.date or NOT_STATED)
                table.source[row, table.fits[row]] = sources.setdefault(source, len(sources))
        return replace(table, sources=tuple(sources))

    def replicas_of(self, configs: Iterable[ReplicaConfig]) -> tuple[CalibratedReplica, ...]:
        """The constants that speak of `configs`."""
        found = map(self._known_of, configs)
        return tuple(dict.fromkeys(each for each in found if each is not None))

    def analytic_for(self, config: ReplicaConfig) -> AnalyticProvider:
        """The analytic model of `config`: with the constants that speak of it, or as the engine has them."""
        known = self._known_of(config)
        if known is not None:
            return self._corrected(config, known)[0]
        return AnalyticProvider(self.models, self.gpus, self.engine, self.network_gb_per_s, self.mixes)

    def _corrected(self, config: ReplicaConfig, known: CalibratedReplica) -> tuple[AnalyticProvider, float]:
        """The analytic model with the constants `known` of `config`, and the factor on its rates that remains [-]."""
        corrected = tuned(self.models[config.model], config, self.gpus[known.gpu], self.engine, known.constants)
        gpus = {**self.gpus, known.gpu: corrected.gpu}
        provider = AnalyticProvider(self.models, gpus, corrected.engine, self.network_gb_per_s, self.mixes)
        return provider, corrected.overall

    def _known_of(self, config: ReplicaConfig) -> CalibratedReplica | None:
        key = _key_of(config)
        return self._by_key.get(key) if key is not None else None

    def _fill(self, table: ThroughputTable, row: int, config: ReplicaConfig, known: CalibratedReplica) -> bool:
        """Write the rates of one configuration; returns whether it serves anything."""
        provider, overall = self._corrected(config, known)
        found = provider.table([config], table.workloads)
        table.fits[row] = found.fits[0]
        table.rate_req_per_s[row] = found.rate_req_per_s[0] * overall
        table.ttft_s[row] = found.ttft_s[0] / overall
        table.tpot_s[row] = found.tpot_s[0] / overall
        table.num_sequences[row] = found.num_sequences[0]
        table.relative_error[row] = found.relative_error[0] if known.relative_error is None else known.relative_error
        return bool(found.fits.any())


def _key_of(config: ReplicaConfig) -> ReplicaKey | None:
    """Key of `config`; None where no constants can speak of it: mixed, uneven, or over several machines."""
    first, depth = config.stages[0], len(config.stages)
    alike = all(
        (stage.gpu, stage.tensor_parallel_size) == (first.gpu, first.tensor_parallel_size) for stage in config.stages
    )
    even = tuple(stage.layers for stage in config.stages) == split_layers(config.num_layers, depth)
    if not alike or not even or config.spans_machines:
        return None
    precision = same_precision(config.precision)
    kv_precision = same_precision(config.kv_precision)
    return (model_key(config.model), first.gpu, precision, kv_precision, first.tensor_parallel_size, depth)
