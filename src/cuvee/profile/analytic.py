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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import KV_BYTES, UNQUANTIZED_BYTES, WEIGHT_BYTES, ModelSpec
from cuvee.profile.engine import SUSTAINED_TFLOPS_PER_WATT, EngineSettings
from cuvee.profile.memory import kv_capacity_tokens
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import Provenance, ThroughputTable
from cuvee.units import BYTES_PER_GB, FLOPS_PER_TFLOPS
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]

ACTIVATION_BYTES = 2.0
"""Activations travel in 16 bit, between tensor-parallel GPUs and between stages [B]."""

UNVALIDATED_GPUS = frozenset({"A40", "A6000", "L40"})
"""No sound public figure covers these: their error band is unknown, so none is stated."""

FEW_SEQUENCES = 16
"""Below this many sequences a few GB decide the batch: the error band doubles [-]."""


def sustained_efficiency(gpu: GpuType, precision: str, engine: EngineSettings) -> float:
    """Share of the dense matrix rate of `gpu` at `precision` that layers reach [-]: the lower of engine and power."""
    ceiling = engine.compute_efficiency
    family = "GA102" if gpu.compute_capability == "8.6" else gpu.architecture.split()[0]
    per_watt = SUSTAINED_TFLOPS_PER_WATT.get(family)
    if gpu.tdp_w and per_watt:
        speedup = 2.0 if gpu.compute_tflops(precision) > 1.5 * gpu.compute_tflops("bf16") else 1.0
        ceiling = min(ceiling, per_watt * speedup * gpu.tdp_w / gpu.compute_tflops(precision))
    return ceiling * engine.compute_derate.get(family, 1.0)


def link_bytes_per_s(gpu: GpuType, engine: EngineSettings) -> float:
    """Rate at which GPUs of one machine exchange activations, one direction [B/s]."""
    if gpu.has_fast_link:
        efficiency = engine.link_efficiency
    else:
        efficiency = engine.pcie_efficiency if gpu.peer_to_peer else engine.no_peer_efficiency
    return gpu.link_gb_per_s * efficiency * BYTES_PER_GB


@dataclass(frozen=True)
class AnalyticProvider:
    """Estimates from data sheets and engine settings.

    Parameters
        models               Shapes of the models, by name.
        gpus                 GPU types, by name.
        engine               Engine constants.
        network_gb_per_s     Link between machines, one direction [GB/s].
    """

    models: Mapping[str, ModelSpec]
    gpus: Mapping[str, GpuType]
    engine: EngineSettings
    network_gb_per_s: float = 0.625

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads`, all estimated; 0 and `fits` False where the memory does not suffice."""
        blocks = [self._block(self.models[name], rows, configs, workloads) for name, rows in _rows_by_model(configs)]
        shape = (len(configs), len(workloads))
        merged = {name: np.zeros(shape) for name in ("rate", "ttft", "tpot", "sequences")}
        for (_, rows), block in zip(_rows_by_model(configs), blocks, strict=True):
            for name, values in merged.items():
                values[rows] = block[name]
        fits = merged["rate"] > 0
        return ThroughputTable(
            tuple(configs),
            tuple(workloads),
            merged["rate"],
            fits,
            self._relative_error(configs, merged["sequences"]),
            merged["ttft"],
            merged["tpot"],
            merged["sequences"],
            np.full(shape, Provenance.ESTIMATED, dtype=object),
            (f"estimated: roofline with the derates of {self.engine.name} ({self.engine.source})",),
        )

    def _relative_error(self, configs: Sequence[ReplicaConfig], sequences: Array) -> Array:
        known = np.array([not UNVALIDATED_GPUS.intersection(config.gpu_counts) for config in configs])
        tight = np.where((sequences > 0) & (sequences < FEW_SEQUENCES), 2.0, 1.0)
        return np.where(known[:, None], self.engine.relative_error * tight, np.inf)

    def _block(
        self,
        model: ModelSpec,
        rows: list[int],
        configs: Sequence[ReplicaConfig],
        workloads: Sequence[WorkloadType],
    ) -> dict[str, Array]:
        """Rates of the configurations of one model, shape (len(rows), num_workloads)."""
        chosen = [configs[row] for row in rows]
        capacity = np.array([kv_capacity_tokens(model, config, self.gpus, self.engine) for config in chosen])
        stages = _stage_arrays(model, chosen, self.gpus, self.engine, self.network_gb_per_s)
        limits = np.array(
            [min(self.engine.limits_on(self.gpus[gpu]) for gpu in config.gpu_counts) for config in chosen], dtype=float
        )
        load = _batch(model, capacity, stages.num_stages, workloads, limits, self.engine)
        decode = _stage_time_s(model, stages, load, 0.0 * load.chunk, self.engine)
        mixed = _stage_time_s(model, stages, load, load.chunk, self.engine)
        return _steady_state(model, stages, load, decode, mixed, self.engine)


def _rows_by_model(configs: Sequence[ReplicaConfig]) -> list[tuple[str, list[int]]]:
    rows: dict[str, list[int]] = {}
    for row, config in enumerate(configs):
        rows.setdefault(config.model, []).append(row)
    return list(rows.items())


@dataclass(frozen=True)
class _Stages:
    """Per-stage figures, padded to the deepest pipeline; shape (num_configs, max_stages, 1)."""

    num_stages: Array  # (num_configs, 1)
    present: NDArray[np.bool_]
    last: NDArray[np.bool_]
    size: Array  # GPUs of the stage
    layers: Array
    matrix_flops: Array  # layers' matrix rate over all GPUs of the stage, derated
    half_flops: Array  # 16-bit matrix rate at data sheet, for attention
    bandwidth: Array  # memory bandwidth over all GPUs of the stage
    cache_bandwidth: Array  # the same, over the GPUs that hold distinct cache
    link: Array  # inside the stage
    next_link: Array  # to the next stage; inf on the last
    fixed_weight_bytes: Array  # read in every step: all but routed experts
    expert_weight_bytes: Array
    head_bytes: Array
    entry_bytes: Array  # cache bytes of a token and layer


def _stage_arrays(
    model: ModelSpec,
    configs: Sequence[ReplicaConfig],
    gpus: Mapping[str, GpuType],
    engine: EngineSettings,
    network_gb_per_s: float,
) -> _Stages:
    depth = max(len(config.stages) for config in configs)
    fields = np.zeros((12, len(configs), depth, 1))
    vocabulary = model.embedding_params * UNQUANTIZED_BYTES
    for row, config in enumerate(configs):
        layer_bytes = model.layer_weight_bytes(config.precision) / model.num_layers
        expert_bytes = model.expert_params * WEIGHT_BYTES[config.precision] / model.num_layers
        for column, stage in enumerate(config.stages):
            gpu = gpus[stage.gpu]
            size = stage.tensor_parallel_size
            bandwidth = gpu.bandwidth_gb_per_s * BYTES_PER_GB
            efficiency = sustained_efficiency(gpu, config.precision, engine)
            inside = link_bytes_per_s(gpu, engine)
            last = column == len(config.stages) - 1
            fields[:, row, column, 0] = (
                size,
                stage.layers,
                size * gpu.compute_tflops(config.precision) * FLOPS_PER_TFLOPS * efficiency,
                size * gpu.compute_tflops("bf16") * FLOPS_PER_TFLOPS,
                size * bandwidth,
                model.kv_shards(size) * bandwidth,
                inside,
                np.inf if last else network_gb_per_s * BYTES_PER_GB if config.spans_machines else inside,
                stage.layers * (layer_bytes - expert_bytes),
                stage.layers * expert_bytes,
                vocabulary if last else 0.0,
                model.kv_values_per_token_layer * KV_BYTES[config.kv_precision],
            )
    num_stages = np.array([[len(config.stages)] for config in configs], dtype=float)
    position = np.arange(depth)[None, :, None]
    present = position < num_stages[:, :, None]
    filled = np.where(present[None], fields, 1.0)  # padding must not divide by zero; it is masked afterwards
    return _Stages(num_stages, present, position == num_stages[:, :, None] - 1, *filled)


@dataclass(frozen=True)
class _Load:
    """What one step of a micro-batch carries; shape (num_configs, 1, num_workloads) unless said otherwise."""

    input_tokens: Array  # (num_workloads,)
    output_tokens: Array  # (num_workloads,)
    fits: NDArray[np.bool_]
    in_flight: Array  # micro-batches under way
    sequences: Array  # decoding sequences of a micro-batch
    chunk: Array  # prefill tokens of a mixed step
    mixed_share: Array  # share of the steps that carry prefill


def _batch(
    model: ModelSpec,
    capacity: Array,
    num_stages: Array,
    workloads: Sequence[WorkloadType],
    limits: Array,
    engine: EngineSettings,
) -> _Load:
    """Largest steady batch that cache, sequence limit and token budget allow."""
    inputs = np.array([workload.input_tokens for workload in workloads])
    outputs = np.array([workload.output_tokens for workload in workloads])
    longest = inputs + outputs
    kept_share = np.array([model.attended_share(length) for length in longest])
    tokens = capacity[:, None]
    fits = (tokens >= longest * kept_share) & (longest <= model.max_context)
    held = (inputs + engine.output_reserved * outputs) * kept_share
    max_num_seqs, max_num_tokens = limits[:, :1], limits[:, 1:]
    total = np.clip(tokens / held, 1.0, max_num_seqs)
    in_flight = np.minimum(num_stages, total)
    prefill_per_decode = inputs / outputs
    # A step's budget is shared by decode and prefill: with long prompts it, not the cache, bounds the batch.
    sequences = np.minimum(total / in_flight, max_num_tokens / (1 + prefill_per_decode))
    chunk = np.maximum(np.minimum(inputs, max_num_tokens - sequences), np.maximum(sequences * prefill_per_decode, 1.0))
    mixed_share = np.minimum(sequences * prefill_per_decode / chunk, 1.0)
    return _Load(
        inputs,
        outputs,
        fits[:, None, :],
        in_flight[:, None, :],
        sequences[:, None, :],
        chunk[:, None, :],
        mixed_share[:, None, :],
    )


def _stage_time_s(model: ModelSpec, stages: _Stages, load: _Load, prefill: Array, engine: EngineSettings) -> Array:
    """Time of a step with `prefill` prefill tokens on each stage [s], shape (num_configs, max_stages, num_workloads)."""
    tokens = load.sequences + prefill
    share = stages.layers / model.num_layers
    streaming = stages.bandwidth * engine.memory_efficiency

    active = (model.layer_params - model.expert_params * (1 - model.expert_share_per_token)) * share
    touched = 1 - (1 - model.expert_share_per_token) ** tokens  # share of experts that some token of the step uses
    weight_bytes = stages.fixed_weight_bytes + stages.expert_weight_bytes * touched
    matrices = np.maximum(2 * active * tokens / stages.matrix_flops, weight_bytes / streaming)

    context = load.input_tokens + load.output_tokens / 2
    attended = context * np.array([model.attended_share(length) for length in context])
    cache_read = stages.layers * stages.entry_bytes * load.sequences * attended
    decode_attention = cache_read / (stages.cache_bandwidth * engine.cache_efficiency)

    seen = load.input_tokens * np.array([model.attended_share(length) for length in load.input_tokens])
    score_flops = stages.layers * model.attention_width * prefill * seen
    prefill_attention = score_flops / (stages.half_flops * engine.attention_efficiency)

    elements = stages.layers * model.hidden_size * engine.element_bytes * tokens / streaming
    head_flops = 2 * model.embedding_params * load.sequences
    head = np.maximum(
        head_flops / (stages.half_flops * engine.compute_efficiency), stages.head_bytes / streaming
    ) * np.where(stages.last, 1.0, 0.0)

    activation_bytes = tokens * model.hidden_size * ACTIVATION_BYTES
    ring = 2 * (stages.size - 1) / stages.size * activation_bytes / stages.link
    collectives = np.where(stages.size > 1, 2 * stages.layers * (engine.collective_latency_s + ring), 0.0)

    time_s = matrices + decode_attention + prefill_attention + elements + head + collectives
    return np.where(stages.present, time_s, 0.0)


def _steady_state(
    model: ModelSpec, stages: _Stages, load: _Load, decode: Array, mixed: Array, engine: EngineSettings
) -> dict[str, Array]:
    """Rate, latencies and batch once arrivals balance completions, each of shape (num_configs, num_workloads)."""
    sent = (load.sequences + load.mixed_share * load.chunk) * model.hidden_size * ACTIVATION_BYTES
    transfer = np.where(stages.present, sent / stages.next_link, 0.0)
    mean = decode + load.mixed_share * (mixed - decode) + transfer
    # Micro-batches move through the stages in lockstep: one that carries prefill holds up all others.
    held_up = 1 - (1 - load.mixed_share) ** load.in_flight
    slowest = (decode + held_up * (mixed - decode) + transfer).max(axis=1)

    in_flight, sequences = load.in_flight[:, 0], load.sequences[:, 0]
    bubble = 1 + engine.bubble_per_stage * (stages.num_stages - 1)
    cycle = np.maximum(slowest, mean.sum(axis=1) / in_flight) * bubble
    cycle = cycle + engine.step_overhead_s + engine.sequence_overhead_s * sequences

    fits = load.fits[:, 0]
    rate = np.minimum(sequences / (load.output_tokens * cycle), engine.max_req_per_s)
    chunks = np.ceil(load.input_tokens / load.chunk[:, 0])
    ttft = chunks * ((mixed + transfer).sum(axis=1) + engine.step_overhead_s)
    return {
        "rate": np.where(fits, rate, 0.0),
        "ttft": np.where(fits, ttft, 0.0),
        "tpot": np.where(fits, in_flight * cycle, 0.0),
        "sequences": np.where(fits, in_flight * sequences, 0.0),
    }
