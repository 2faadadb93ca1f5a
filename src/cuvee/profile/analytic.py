"""The analytic provider: a roofline of continuous batching, for tensor and pipeline parallel replicas.

In steady state a replica runs B sequences in S micro-batches of b. Each engine step of a micro-batch
carries b decode tokens and, in a share `mixed_share` of the steps, a chunk of prefill. A step's time on
a stage is the sum of matrix work (the larger of arithmetic and weight reads), attention, element-wise
traffic, all-reduces and, on the last stage, the head; see docs/throughput-model.md for every formula.

Assumptions
    Requests of a type have its mean lengths.
    Every request of a batch is of one type.
    Prefix caching is off.
    Hosts are fast enough for the overhead the engine settings state.

Source          Formulas as in the roofline literature; constants as `cuvee.profile.engine` says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.errors import InputError, UnknownNameError
from cuvee.profile.batch import Batch, steady_batch
from cuvee.profile.cores import on_all_cores
from cuvee.profile.engine import EngineSettings
from cuvee.profile.memory import kv_capacities
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.stages import StageArrays, stage_arrays
from cuvee.profile.step_time import step_terms, token_transfer_s
from cuvee.profile.table import NOT_STATED, Provenance, RateSource, ThroughputTable
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]

NETWORK_GB_PER_S = 0.625
"""Link between machines where none is stated [GB/s]: the 5 Gb/s Ethernet of the reference setting."""

CELLS_AT_ONCE = 100_000
"""Configurations times stages times workloads computed together [-]: what a core's cache holds."""

FEW_SEQUENCES = 16
"""Below this many sequences a few GB decide the batch: the error band doubles [-]."""


@dataclass(frozen=True)
class AnalyticProvider:
    """Estimates from data sheets and engine settings.

    Parameters
        models               Shapes of the models, by name.
        gpus                 GPU types, by name.
        engine               Engine constants.
        network_gb_per_s     Link between machines, one direction [GB/s].
        mixes                By model, the share of each workload type in the requests of a replica [-], by name: on a
                             pipeline types hold each other up. A model without a mix, or asked for types that are not
                             in it, serves each type alone.
    """

    models: Mapping[str, ModelSpec]
    gpus: Mapping[str, GpuType]
    engine: EngineSettings
    network_gb_per_s: float = NETWORK_GB_PER_S
    mixes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.network_gb_per_s < np.inf:
            raise InputError(f"network_gb_per_s = {self.network_gb_per_s!r}", expected="a rate above 0 GB/s")

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads`, all estimated; 0 and `fits` False where the memory does not suffice.

        Raises      UnknownNameError: a model or GPU type not given; InputError: layers that are not the model's.
        """
        for kind in workloads:
            if not kind.lengths_known:
                raise InputError(
                    f"workload type {kind.name!r} without lengths",
                    expected="mean prompt and answer lengths, to estimate from",
                    remedy="give its lengths, or rates that were measured",
                )
        shape = (len(configs), len(workloads))
        merged = {name: np.zeros(shape) for name in ("rate", "ttft", "tpot", "sequences")}
        error = np.zeros(shape)

        def fill(rows: NDArray[np.int64], model: ModelSpec, arrays: ReplicaArrays) -> None:
            block = self._block(model, arrays, workloads)
            for key, values in merged.items():
                values[rows] = block[key]
            error[rows] = self._relative_error(model, arrays, block["sequences"])

        blocks: list[tuple[NDArray[np.int64], ModelSpec, ReplicaArrays]] = []
        for rows, arrays in alike(configs):
            model = self.checked(arrays)
            step = max(1, CELLS_AT_ONCE // (arrays.gpu.shape[1] * len(workloads)))
            cuts = range(0, len(rows), step)
            blocks += [(rows[start : start + step], model, arrays[start : start + step]) for start in cuts]
        on_all_cores(fill, blocks)
        return ThroughputTable(
            configs if isinstance(configs, ReplicaArrays) else tuple(configs),
            tuple(workloads),
            merged["rate"],
            merged["rate"] > 0,
            error,
            merged["ttft"],
            merged["tpot"],
            merged["sequences"],
            np.broadcast_to(np.int64(0), shape),  # one value stands for all
            (self.source,),
        )

    @property
    def source(self) -> RateSource:
        """Where its rates come from, with the date of the engine's constants."""
        said = f" ({self.engine.source})" if self.engine.source else ""
        text = f"roofline with the constants of {self.engine.name}{said}"
        return RateSource(Provenance.ESTIMATED, text, self.engine.date or NOT_STATED)

    def checked(self, configs: ReplicaArrays) -> ModelSpec:
        """The model of `configs`, whose names and layers are known to be right."""
        if configs.model not in self.models:
            raise UnknownNameError("model", configs.model, self.models)
        model = self.models[configs.model]
        if not model.shape_known:
            raise InputError(
                f"model {model.name!r} without a shape",
                expected="its dimensions, to estimate from",
                remedy="give its config.json, or rates that were measured",
            )
        wrong = np.flatnonzero(configs.layers.sum(axis=1) != model.num_layers)
        if len(wrong):
            config = configs[int(wrong[0])]
            raise InputError(
                f"replica of {config.model!r} on {config.gpu_label}: {config.num_layers} layers",
                expected=f"{model.num_layers} layers over all stages",
                remedy="split the model's layers over the stages, each once",
            )
        for name in configs.gpu_names:
            if name not in self.gpus:
                raise UnknownNameError("GPU type", name, self.gpus, remedy="list them with: cuvee gpus")
            if not self.gpus[name].compute_tflops("bf16") > 0:
                raise InputError(f"GPU type {name!r} without a 16-bit rate", expected="tflops of bf16 or fp16")
        return model

    def shares_of(self, model: ModelSpec, workloads: Sequence[WorkloadType]) -> Array | None:
        """Shares of `workloads` in the requests of a replica [-]; None where each is served alone."""
        mix = self.mixes.get(model.name, {})
        return np.array([mix[each.name] for each in workloads]) if all(each.name in mix for each in workloads) else None

    def _relative_error(self, model: ModelSpec, configs: ReplicaArrays, sequences: Array) -> Array:
        """The engine's band where sound public figures exist, inf elsewhere: pipelines, experts, latent attention and
        sliding windows were never compared with any, and each engine on some GPU types and sizes alone.
        """
        plain = model.moe is None and model.mla is None and model.sliding_window is None
        known = plain & (configs.num_stages == 1)
        sizes = np.arange(configs.size.max(initial=0) + 1)
        measured = np.array([np.isin(sizes, self.engine.measured_sizes.get(name, ())) for name in configs.gpu_names])
        known &= measured[configs.gpu[:, 0], configs.size[:, 0]]
        tight = np.where((sequences > 0) & (sequences < FEW_SEQUENCES), 2.0, 1.0)
        return np.where(known[:, None], self.engine.relative_error * tight, np.inf)

    def _block(self, model: ModelSpec, configs: ReplicaArrays, workloads: Sequence[WorkloadType]) -> dict[str, Array]:
        """Rates of configurations of one model, shape (len(configs), num_workloads)."""
        capacity = kv_capacities(model, configs, self.gpus, self.engine)
        limits = step_limits(configs, self.gpus, self.engine)
        stages = stage_arrays(model, configs, self.gpus, self.engine, self.network_gb_per_s)
        shares = self.shares_of(model, workloads)
        serves = configs.serves([each.name for each in workloads])
        batch = steady_batch(
            model, capacity, stages.num_stages, workloads, limits, self.engine, shares=shares, serves=serves
        )
        return _steady_state(model, stages, batch, self.engine)


def step_limits(configs: ReplicaArrays, gpus: Mapping[str, GpuType], engine: EngineSettings) -> Array:
    """Most sequences [-] and tokens per step [tokens] of each replica, by its weakest GPU; (num_configs, 2)."""
    limits = np.array([engine.limits_on(gpus[name]) for name in configs.gpu_names], dtype=float)
    least: Array = np.where(configs.present[:, :, None], limits[configs.gpu], np.inf).min(axis=1)
    return least


def alike(configs: Sequence[ReplicaConfig]) -> Iterator[tuple[NDArray[np.int64], ReplicaArrays]]:
    """Rows of configurations of one model, cache precision and depth, and their arrays: none is padded."""
    if isinstance(configs, ReplicaArrays):
        depth = configs.num_stages
        for stages in np.unique(depth):
            rows = np.flatnonzero(depth == stages)
            yield rows, configs.select(rows)
        return
    groups: dict[tuple[str, str, int], list[int]] = {}
    for row, config in enumerate(configs):
        groups.setdefault((config.model, config.kv_precision, len(config.stages)), []).append(row)
    for group in groups.values():
        yield np.array(group), ReplicaArrays.of([configs[row] for row in group])


def _steady_state(model: ModelSpec, stages: StageArrays, batch: Batch, engine: EngineSettings) -> dict[str, Array]:
    """Rate, latencies and batch once arrivals balance completions, each of shape (num_configs, num_workloads)."""
    cycle, mixed_s = steady_cycle_s(model, stages, batch, engine)
    in_flight, sequences = batch.in_flight[:, 0], batch.sequences[:, 0]
    rate = np.minimum(sequences / (batch.output_tokens * cycle), engine.max_req_per_s)
    ttft = batch.steps[:, 0] * mixed_s
    values = {"rate": rate, "ttft": ttft, "tpot": in_flight * cycle, "sequences": in_flight * sequences}
    return {name: np.where(batch.fits[:, 0], value, 0.0) for name, value in values.items()}


def steady_cycle_s(model: ModelSpec, stages: StageArrays, batch: Batch, engine: EngineSettings) -> tuple[Array, Array]:
    """Time between micro-batches of the steady batch, and the trip of one with prefill through all stages [s].

    Returns     shape (num_configs, num_workloads) each; bubbles are in the former, the host's time in both.
    """
    terms = step_terms(model, stages, batch.input_tokens, batch.output_tokens, engine)
    mixed = terms.time_s(batch.sequences, batch.chunk)
    decode = terms.time_s(batch.sequences, np.zeros_like(batch.chunk))
    sent = token_transfer_s(model, stages)
    in_flight, sequences = batch.in_flight[:, 0], batch.sequences[:, 0]
    host_s = engine.host_s(sequences, in_flight * sequences)
    mixed += sent * (batch.sequences + batch.chunk)
    decode += sent * batch.sequences
    stage_s = decode + batch.mixed_share * (mixed - decode)
    cycle = pipeline_cycle_s(stages.num_stages, stage_s, batch.in_flight, engine) + host_s
    return cycle, mixed.sum(axis=1) + host_s


def pipeline_cycle_s(num_stages: Array, stage_s: Array, in_flight: Array, engine: EngineSettings) -> Array:
    """Time between micro-batches that take `stage_s` on each stage [s], bubbles included, the host's time not.

    Parameters
        num_stages    Shape (num_configs, 1) [-].
        in_flight     Micro-batches under way [-], shape (num_configs, 1, num_workloads).
    """
    return cycle_s(num_stages, stage_s.max(axis=1), stage_s.sum(axis=1), in_flight[:, 0], engine)


def cycle_s(num_stages: Array, slowest_s: Array, trip_s: Array, in_flight: Array, engine: EngineSettings) -> Array:
    """The same from the slowest stage and the sum over stages [s]; all of shape (num_configs, num_workloads)."""
    # With fewer micro-batches than stages, a round takes one trip through all stages.
    cycle: Array = np.maximum(slowest_s, trip_s / in_flight)
    cycle *= 1 + engine.bubble_per_stage * (num_stages - 1)
    return cycle
