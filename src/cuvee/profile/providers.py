"""Providers in a chain, and the verb that fills a throughput table: measured first, analytic elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.profile.analytic import NETWORK_GB_PER_S, AnalyticProvider
from cuvee.profile.engine import EngineSettings, find_engine
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.measured import TableProvider
from cuvee.profile.measured_files import load_throughput_table
from cuvee.profile.pessimism import PessimisticProvider
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import ThroughputProvider, ThroughputTable, overlay
from cuvee.workload.records import WorkloadType


@dataclass(frozen=True)
class ChainProvider:
    """Values of `first` where it has the cell, of `second` elsewhere."""

    first: ThroughputProvider
    second: ThroughputProvider

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads`."""
        return overlay(self.first.table(configs, workloads), self.second.table(configs, workloads))


def measured_table(provider: ThroughputProvider) -> TableProvider | None:
    """The table of rates that `provider` looks into first, whatever stands around it; None where there is none."""
    if isinstance(provider, (LimitedProvider, PessimisticProvider)):
        return measured_table(provider.provider)
    if isinstance(provider, ChainProvider):
        return measured_table(provider.first)
    return provider if isinstance(provider, TableProvider) else None


def profile(
    configs: Sequence[ReplicaConfig],
    workloads: Sequence[WorkloadType],
    *,
    models: Mapping[str, ModelSpec],
    gpus: Mapping[str, GpuType],
    engine: EngineSettings | str = "vllm",
    network_gb_per_s: float = NETWORK_GB_PER_S,
    table: ThroughputProvider | str | Path | None = None,
) -> ThroughputTable:
    """Requests per second one replica of each configuration sustains on each workload type.

    Parameters
        models              Shapes of the models, by name.
        gpus                GPU types, by name.
        engine              Engine constants, or a name of `cuvee.profile.engine`.
        network_gb_per_s    Link between machines, one direction [GB/s].
        table               Rates known from elsewhere, or the file that holds them; they come first. Of a file,
                            rows that name another engine are left out.
    Raises                  UnknownNameError, InputError.
    """
    settings = find_engine(engine) if isinstance(engine, str) else engine
    analytic = AnalyticProvider(models, gpus, settings, network_gb_per_s)
    if table is None:
        return analytic.table(configs, workloads)
    known = load_throughput_table(table, engine=settings.name) if isinstance(table, (str, Path)) else table
    return ChainProvider(known, analytic).table(configs, workloads)
