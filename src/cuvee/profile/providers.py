"""Providers in a chain, and the verb that fills a throughput table: measured, then calibrated, then estimated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.errors import CuveeError, InputError
from cuvee.profile.analytic import NETWORK_GB_PER_S, AnalyticProvider
from cuvee.profile.calibrated import CalibratedProvider
from cuvee.profile.calibration_files import is_calibration_file, load_calibrated
from cuvee.profile.engine import EngineSettings, find_engine
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.measured import MeasuredRate, TableProvider, model_key
from cuvee.profile.measured_files import load_throughput_table
from cuvee.profile.pessimism import PessimisticProvider
from cuvee.profile.points import CACHE_PRECISION
from cuvee.profile.replica import ReplicaConfig, Stage, split_layers
from cuvee.profile.table import ThroughputProvider, ThroughputTable, overlay
from cuvee.units import plural
from cuvee.workload.records import WorkloadType

FILLED = 0.5
"""Share of the sequences that a replica runs at once by the analytic model [-], below which a run did not fill it."""

UNFILLED = "fewer requests held under way than half of what the replica runs at once by the model"


@dataclass(frozen=True)
class ChainProvider:
    """Values of `first` where it has the cell, of `second` elsewhere."""

    first: ThroughputProvider
    second: ThroughputProvider

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads`."""
        return overlay(self.first.table(configs, workloads), self.second.table(configs, workloads))


def amid(provider: ThroughputProvider, mixes: Mapping[str, Mapping[str, float]]) -> ThroughputProvider:
    """`provider` with estimates of replicas that serve `mixes`, see `AnalyticProvider`; what was measured stays."""
    if isinstance(provider, (AnalyticProvider, CalibratedProvider)):
        return provider if provider.mixes == mixes else replace(provider, mixes=mixes)
    if isinstance(provider, ChainProvider):
        return replace(provider, first=amid(provider.first, mixes), second=amid(provider.second, mixes))
    if isinstance(provider, PessimisticProvider):
        return replace(provider, provider=amid(provider.provider, mixes))
    return provider


def calibrated_provider(provider: ThroughputProvider) -> CalibratedProvider | None:
    """The fitted constants that `provider` looks into, whatever stands around them; None where there are none."""
    if isinstance(provider, (LimitedProvider, PessimisticProvider)):
        return calibrated_provider(provider.provider)
    if isinstance(provider, ChainProvider):
        return calibrated_provider(provider.first) or calibrated_provider(provider.second)
    return provider if isinstance(provider, CalibratedProvider) else None


def known_first(paths: Sequence[str | Path], analytic: AnalyticProvider) -> ThroughputProvider:
    """What was measured by the files at `paths`, what was fitted to measurements by them, and estimates elsewhere.

    Parameters
        paths       At most one table of rates, and one file of fitted constants.
    Notes           Of a table, rows that name another engine are left out, and those that did not fill a replica.
    Raises          InputError: a file that cannot be used with that engine, or two of a kind.
    """
    fitted = [path for path in paths if is_calibration_file(path)]
    tables = [path for path in paths if path not in fitted]
    for kind, files in (("tables of rates", tables), ("files of fitted constants", fitted)):
        if len(files) > 1:
            named = ", ".join(map(str, files))
            raise InputError(
                f"{len(files)} {kind}: {named}", expected="at most one", remedy="join them, or leave out all but one"
            )
    provider: ThroughputProvider = analytic
    for path in fitted:
        provider = ChainProvider(load_calibrated(path, analytic), provider)
    for path in tables:
        table = without_unfilled(load_throughput_table(path, engine=analytic.engine.name), analytic)
        provider = ChainProvider(table, provider)
    return provider


def without_unfilled(table: TableProvider, analytic: AnalyticProvider) -> TableProvider:
    """`table` without rates of replicas that were held far below the sequences that they run by the analytic model."""
    kept = tuple(rate for rate in table.rates if not _is_unfilled(rate, analytic))
    count = len(table.rates) - len(kept)
    note = (f"{plural(count, 'row')} left out: {UNFILLED}",) if count else ()
    return replace(table, rates=kept, notes=(*table.notes, *note))


def _is_unfilled(rate: MeasuredRate, analytic: AnalyticProvider) -> bool:
    model = next((model for name, model in analytic.models.items() if model_key(name) == rate.model), None)
    if rate.concurrency is None or model is None or not model.shape_known or len(rate.stages) > model.num_layers:
        return False
    layers = rate.layers or split_layers(model.num_layers, len(rate.stages))
    stages = tuple(Stage(gpu, size, count) for (gpu, size), count in zip(rate.stages, layers, strict=True))
    config = ReplicaConfig(
        model.name, stages, rate.precision, rate.kv_precision or CACHE_PRECISION, bool(rate.spans_machines)
    )
    try:
        found = analytic.table([config], [WorkloadType("measured", rate.input_tokens, rate.output_tokens)])
    except CuveeError:  # a GPU type or split the model knows nothing of
        return False
    return rate.concurrency < FILLED * float(found.num_sequences[0, 0])


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
        table               Rates known from elsewhere, or the file that holds them or fitted constants; they come
                            first. Of a table in a file, rows that name another engine are left out.
    Raises                  UnknownNameError, InputError.
    """
    settings = find_engine(engine) if isinstance(engine, str) else engine
    analytic = AnalyticProvider(models, gpus, settings, network_gb_per_s)
    if table is None:
        return analytic.table(configs, workloads)
    chain = known_first([table], analytic) if isinstance(table, (str, Path)) else ChainProvider(table, analytic)
    return chain.table(configs, workloads)
